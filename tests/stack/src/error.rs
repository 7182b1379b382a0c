//! What can go wrong while servers are found, built, started and stopped.

use std::io;
use std::path::PathBuf;

/// The result of everything fallible in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One line that says what failed and what to do next; a server's last log lines follow where it wrote any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something that cargo cannot bring is not on this machine.
    #[error("{what} was not found; {fix}")]
    Missing {
        /// What was looked for.
        what: String,
        /// What to run.
        fix: String,
    },

    /// A file operation failed.
    #[error("cannot {action} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// A folder below the temporary directory is not ours, or others may write to it.
    #[error(
        "{} is not a private folder of this user; remove it, or set TMPDIR to a folder of your own",
        path.display()
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },

    /// A program could not be started or ended with an error.
    #[error("`{program}` failed: {detail}")]
    Program {
        /// The program with its main arguments.
        program: String,
        /// Its exit status and last lines.
        detail: String,
    },

    /// A server ended, or was not ready in time.
    #[error("{server} did not start: {reason}{}", indented(log))]
    Start {
        /// Which server.
        server: String,
        /// One sentence.
        reason: String,
        /// The last lines of its log, or nothing.
        log: String,
    },

    /// A server that had started is in trouble.
    #[error("{server} {trouble}{}", indented(log))]
    Ended {
        /// Which server.
        server: String,
        /// What is seen of it.
        trouble: &'static str,
        /// The lines of its log that say why, or nothing.
        log: String,
    },

    /// The fixed port that was asked for is in use.
    #[error(
        "port {port} on 127.0.0.1 is taken; stop what listens there (`ss -ltnp 'sport = :{port}'` shows it) or leave the port out"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },

    /// A statement failed.
    #[error("`{statement}` failed: {detail}")]
    Sql {
        /// The statement's beginning.
        statement: String,
        /// The server's message.
        detail: String,
    },

    /// The extension's build result is not what was expected.
    #[error("the extension cannot be installed: {0}")]
    Extension(String),

    /// A file of the project does not read as it should.
    #[error("{}: {detail}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },

    /// The command line was not understood.
    #[error("{0}")]
    Usage(String),

    /// Ctrl-C or SIGTERM arrived.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Wraps an I/O error with what was tried on which file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// The exit code a verb ends with: 2 where something is missing or the call is wrong, 130 after Ctrl-C, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. } | Self::Usage(_) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, or set TMPDIR to a disk that has it"
        }
        io::ErrorKind::PermissionDenied => "; check the owner and mode of that folder",
        _ => "",
    }
}

fn indented(log: &str) -> String {
    log.lines().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_dead_server_say_what_to_do() {
        let full =
            Error::io("write", "/x")(io::Error::from(io::ErrorKind::StorageFull)).to_string();
        assert!(
            full.starts_with("cannot write /x: ")
                && full.ends_with("set TMPDIR to a disk that has it"),
            "{full}"
        );
        let dead = Error::Start {
            server: "Redis".into(),
            reason: "it ended".into(),
            log: "a\nb".into(),
        };
        assert_eq!(
            dead.to_string(),
            "Redis did not start: it ended\n    a\n    b"
        );
        assert_eq!(
            Error::Missing {
                what: "x".into(),
                fix: "y".into()
            }
            .exit_code(),
            2
        );
        assert_eq!(Error::PortTaken { port: 1 }.exit_code(), 1);
    }
}
