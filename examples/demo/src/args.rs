//! What the command line says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `--help` prints.
pub const USAGE: &str = "\
usage: demo [--no-db] [--no-redis] [--check] [--json FILE] | [--listen ADDRESS [--plain] [--filled]]

  --no-db, --no-redis  run on the embedded defaults, whatever the variables below say
  --check              end after the story: exit code 0 where every check holds, else 1
  --json FILE          write the figures there
  --listen ADDRESS     without the story: the service alone, on a port of this machine, such as 127.0.0.1:3000
  --plain              the service without pitcrew, to compare with
  --filled             the database has the demo's data from an earlier run

in the environment, for a command line can be read by every user of the machine and these hold passwords:

  PITCREW_DEMO_DATABASE_URL  an empty PostgreSQL database in which pg_stat_statements and pg_pitcrew exist
  PITCREW_DEMO_REDIS_URL     a Redis or Valkey server

Without a variable the demo runs on the embedded default.";

/// Names the database. A name of our own: a DATABASE_URL that lies about in a shell is somebody's real database.
pub(crate) const DATABASE_VARIABLE: &str = "PITCREW_DEMO_DATABASE_URL";
pub(crate) const REDIS_VARIABLE: &str = "PITCREW_DEMO_REDIS_URL";

/// Where the demo runs, and how it ends.
#[derive(Debug, Default)]
pub struct Args {
    pub(crate) database_url: Option<String>,
    pub(crate) redis_url: Option<String>,
    json: Option<PathBuf>,
    /// Where the service listens without its story, if it does.
    pub listen: Option<SocketAddr>,
    /// The service without pitcrew.
    pub plain: bool,
    /// The database has the data already.
    pub(crate) filled: bool,
    /// End after the story.
    pub check: bool,
    /// Say how it is called, and no more.
    pub help: bool,
}

impl Args {
    /// Where the figures are written to, if anywhere.
    #[must_use]
    pub fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }

    /// Reads arguments, and the variables by `variable`.
    ///
    /// # Errors
    /// A sentence that names the argument that is wrong.
    pub fn parse(
        arguments: impl IntoIterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut args = Self {
            database_url: variable(DATABASE_VARIABLE),
            redis_url: variable(REDIS_VARIABLE),
            ..Self::default()
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--no-db" => args.database_url = None,
                "--no-redis" => args.redis_url = None,
                "--check" => args.check = true,
                "--json" => {
                    let file = arguments.next().ok_or("--json wants a file")?;
                    args.json = Some(PathBuf::from(file));
                }
                "--listen" => {
                    let address = arguments.next().and_then(|address| address.parse().ok());
                    let address = address.filter(|address: &SocketAddr| address.ip().is_loopback());
                    args.listen =
                        Some(address.ok_or("--listen wants an address such as 127.0.0.1:3000")?);
                }
                "--plain" => args.plain = true,
                "--filled" => args.filled = true,
                "--help" | "-h" => args.help = true,
                other => return Err(format!("{other} is not an argument")),
            }
        }
        if (args.plain || args.filled) && args.listen.is_none() {
            let wrong = "--plain and --filled are for the service alone: add --listen ADDRESS";
            return Err(wrong.to_owned());
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Args, String> {
        let variable = |name: &str| Some(format!("the value of {name}"));
        Args::parse(text.split_whitespace().map(str::to_owned), variable)
    }

    #[test]
    fn wrong_arguments_are_named() {
        assert!(parse("--chek").is_err_and(|error| error.contains("--chek")));
        assert!(parse("--json").is_err_and(|error| error.contains("--json")));
        for wrong in ["--listen", "--listen 0.0.0.0:3000", "--plain", "--filled"] {
            assert!(
                parse(wrong).is_err_and(|error| error.contains("--listen")),
                "{wrong}"
            );
        }
        assert!(parse("--plain --listen 127.0.0.1:3000").is_ok());
    }

    #[test]
    fn urls_come_from_documented_variables_and_can_be_refused() {
        let given = parse("--check").expect("these are right");
        for url in [given.database_url, given.redis_url] {
            let url = url.expect("the variable is set");
            let name = url.rsplit(' ').next().unwrap_or_default();
            assert!(USAGE.contains(name), "{name} is not in the usage");
        }
        let refused = parse("--no-db --no-redis").expect("these are right");
        assert!(refused.database_url.is_none() && refused.redis_url.is_none());
    }
}
