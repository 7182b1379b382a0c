//! A private Redis (or Valkey).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files;
use crate::place::{Place, Slot};
use crate::process;
use crate::random;

/// A start takes 30 ms on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long one reply may take.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// Other ports tried when the chosen one was taken between choosing and binding.
const PORT_TRIES: usize = 10;

/// Servers looked for on the PATH, in this order.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// Copies the machine's Redis into the place: a copied program is never mistaken for the system's own server, whatever
/// the distribution calls the file behind the link. Answers the copy.
///
/// # Errors
/// [`Error::Missing`] where none is installed, [`Error::Io`].
pub fn prepare(place: &Place) -> Result<PathBuf> {
    let _lock = place.preparing()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = PROGRAMS
        .iter()
        .find_map(|name| {
            std::env::split_paths(&path)
                .map(|dir| dir.join(name))
                .find(|candidate| candidate.is_file())
        })
        .ok_or_else(|| Error::Missing {
            what: "redis-server or valkey-server".into(),
            fix: "run `./pitcrew doctor` to see what to install".into(),
        })?;
    let original = fs::canonicalize(&found).map_err(Error::io("look at", &found))?;
    // The server looks at its own name to choose between server, checker and sentinel.
    let copy = place.path().join("redis-server");
    let contents = fs::read(&original).map_err(Error::io("read", &original))?;
    if !fs::read(&copy).is_ok_and(|old| old == contents) {
        files::replace(&copy, &contents, 0o755)?;
    }
    Ok(copy)
}

/// A private Redis, without persistence; ended and removed when dropped.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    /// Owned by the server's account, mode 0700: configuration, socket and log.
    dir: PathBuf,
    port: u16,
    password: String,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    slot: Arc<Slot>,
}

impl Redis {
    /// Starts a Redis from the copied `program` on a free loopback port and a unix socket.
    ///
    /// # Errors
    /// [`Error::Start`] with the log's last lines, [`Error::Io`].
    pub fn start(slot: &Arc<Slot>, program: &Path) -> Result<Self> {
        Self::start_with(slot, program, &[])
    }

    /// [`Redis::start`] with further lines of `redis.conf`, as names and values.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_with(slot: &Arc<Slot>, program: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_as(slot, program, &random::secret()?, settings)
    }

    /// [`Redis::start_with`] with a password that several servers share. One with settings of Sentinel is a sentinel.
    pub(crate) fn start_as(
        slot: &Arc<Slot>,
        program: &Path,
        password: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let mut redis = Self {
            program: program.to_path_buf(),
            dir: slot.folder("redis")?,
            port: 0,
            password: password.to_owned(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            child: None,
            slot: Arc::clone(slot),
        };
        let mut tries = 0;
        loop {
            redis.port = random::free_port()?;
            match redis.launch() {
                Err(Error::Start { log, .. })
                    if tries < PORT_TRIES && log.contains("Address already in use") =>
                {
                    tries += 1;
                }
                other => return other.map(|()| redis),
            }
        }
    }

    /// [`Redis::start`] with a TLS port besides, which is answered: certificate, key and authority are PEM texts. Clients
    /// need no certificate.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_with_tls(slot: &Arc<Slot>, program: &Path, pem: [&str; 3]) -> Result<(Self, u16)> {
        let folder = slot.folder("tls")?;
        let port = random::free_port()?.to_string();
        let mut settings = vec![("tls-port", port.as_str()), ("tls-auth-clients", "no")];
        let names = ["tls-cert-file", "tls-key-file", "tls-ca-cert-file"];
        let paths = names.map(|name| folder.join(name).display().to_string());
        for ((name, path), text) in names.into_iter().zip(&paths).zip(pem) {
            files::replace(Path::new(path), text.as_bytes(), 0o600)?;
            slot.place().account().own(Path::new(path))?;
            settings.push((name, path));
        }
        let redis = Self::start_with(slot, program, &settings)?;
        Ok((redis, port.parse().unwrap_or_default()))
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`Error::Ended`] with its log's last lines.
    pub fn check_running(&self) -> Result<()> {
        self.command(&["PING"]).map(drop).map_err(|_| Error::Ended {
            server: "Redis".into(),
            trouble: "does not answer any more",
            log: process::last_lines(&self.dir.join("log"), 5),
        })
    }

    fn launch(&mut self) -> Result<()> {
        let config = self.dir.join("redis.conf");
        // In a file, not on the command line: every user of the machine may read that.
        let mut text = format!(
            "port {}\nbind 127.0.0.1\nunixsocket {}\nunixsocketperm 700\nrequirepass {}\nsave \"\"\nappendonly no\ndaemonize no\ndir {}\n",
            self.port,
            self.socket().display(),
            self.password,
            self.dir.display(),
        );
        for (name, value) in &self.settings {
            text += &format!("{name} {value}\n");
        }
        files::replace(&config, text.as_bytes(), 0o600)?;
        self.slot.place().account().own(&config)?;

        let log_path = self.dir.join("log");
        let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
        let errors = log.try_clone().map_err(Error::io("write", &log_path))?;
        let mut command = Command::new(&self.program);
        command
            .arg(&config)
            .args(self.is_sentinel().then_some("--sentinel"))
            .current_dir(&self.dir)
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        self.slot.place().account().apply(&mut command);
        let mut child = process::spawn_server(command, libc::SIGKILL)
            .map_err(Error::io("start", &self.program))?;
        let ready = process::poll(READY_WITHIN, || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(format!("it ended with {status}")));
            }
            self.command(&["PING"]).is_ok().then_some(Ok(()))
        });
        self.child = Some(child);
        let reason = match ready {
            Some(Ok(())) => return Ok(()),
            Some(Err(reason)) => reason,
            None => format!("it did not answer within {} s", READY_WITHIN.as_secs()),
        };
        self.kill();
        Err(Error::Start {
            server: "Redis".into(),
            reason,
            log: process::last_lines(&log_path, 5),
        })
    }

    /// `redis://:PASSWORD@127.0.0.1:PORT/0`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    /// The URL through the unix socket.
    #[must_use]
    pub fn socket_url(&self) -> String {
        format!(
            "redis+unix://{}?pass={}",
            self.socket().display(),
            self.password
        )
    }

    fn is_sentinel(&self) -> bool {
        self.settings.iter().any(|(name, _)| name == "sentinel")
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// The port on 127.0.0.1; the same after [`Redis::start_again`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills the server with SIGKILL: connections break, everything it held is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal(&child, libc::SIGKILL);
            let _ = child.wait();
        }
    }

    /// Stops the server's process (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        if let Some(child) = &self.child {
            process::signal(child, libc::SIGSTOP);
        }
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        if let Some(child) = &self.child {
            process::signal(child, libc::SIGCONT);
        }
    }

    /// Starts it again, empty, on the same port; nothing where it runs.
    ///
    /// # Errors
    /// [`Error::PortTaken`] where somebody took the port meanwhile, else as [`Redis::start`].
    pub fn start_again(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        match self.launch() {
            Err(Error::Start { log, .. }) if log.contains("Address already in use") => {
                Err(Error::PortTaken { port: self.port })
            }
            other => other,
        }
    }

    /// Sends one command on a connection of its own; answers the reply as text (an array's parts on a line each).
    ///
    /// # Errors
    /// [`Error::Program`] where it does not answer within 10 s, or answers with an error.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        let fault = |detail: String| Error::Program {
            program: format!("redis: {}", words.join(" ")),
            detail,
        };
        let ask = || -> std::io::Result<Result<String, String>> {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(REPLY_WITHIN))?;
            let mut writer = stream.try_clone()?;
            let mut reader = BufReader::new(stream);
            for request in [&["AUTH", self.password.as_str()], words] {
                writer.write_all(&encode(request))?;
                let answer = reply(&mut reader)?;
                if request.first() != Some(&"AUTH") || answer.is_err() {
                    return Ok(answer);
                }
            }
            Ok(Err("no command".into()))
        };
        ask()
            .map_err(|error| fault(error.to_string()))?
            .map_err(fault)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A request in RESP, the protocol of Redis: an array of bulk strings.
fn encode(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

/// One reply in RESP2; the inner error is the server's own.
fn reply(reader: &mut impl BufRead) -> std::io::Result<Result<String, String>> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or_else(invalid)?;
    Ok(match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "-" => Err(rest.to_owned()),
        "$" => {
            let length: i64 = rest.parse().map_err(|_| invalid())?;
            let Ok(length) = usize::try_from(length) else {
                return Ok(Ok(String::new()));
            };
            let mut bytes = vec![0; length + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let count: i64 = rest.parse().map_err(|_| invalid())?;
            let mut parts = Vec::new();
            for _ in 0..count.max(0) {
                parts.push(reply(reader)?.unwrap_or_else(|error| error));
            }
            Ok(parts.join("\n"))
        }
        _ => return Err(invalid()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_every_kind_are_read() {
        let read = |bytes: &str| reply(&mut bytes.as_bytes()).map_err(|error| error.kind());
        assert_eq!(read("+OK\r\n"), Ok(Ok("OK".into())));
        assert_eq!(read("-ERR no\r\n"), Ok(Err("ERR no".into())));
        assert_eq!(read("$3\r\na\nb\r\n"), Ok(Ok("a\nb".into())));
        assert_eq!(read("$-1\r\n"), Ok(Ok(String::new())));
        assert_eq!(read("*2\r\n:1\r\n+b\r\n"), Ok(Ok("1\nb".into())));
        assert_eq!(read(""), Err(std::io::ErrorKind::UnexpectedEof));
        assert_eq!(read("\r\n"), Err(std::io::ErrorKind::InvalidData));
        assert_eq!(encode(&["GET", "x"]), b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\n");
    }
}
