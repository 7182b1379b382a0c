//! One running cluster.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::config;
use super::server::Server;
use crate::error::{Error, Result};
use crate::files;
use crate::place::Slot;
use crate::process;
use crate::random;
use crate::sql;

mod offline;

/// Recovery after a kill included; a start takes 0.2 s on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a fast shutdown may take before it becomes an immediate one.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// Between two tries to start where a killed server is not quite gone.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Other ports tried when the chosen one was taken between choosing and binding.
const PORT_TRIES: usize = 10;

/// Lines of the server's log shown with an error.
const LOG_LINES: usize = 8;

/// How a private cluster is set up.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// `shared_preload_libraries`; none by default.
    pub preload: Vec<String>,
    /// Further settings, which win over the stack's own.
    pub settings: Vec<(String, String)>,
    /// Keep `fsync` and `full_page_writes` on (measurements); off by default.
    pub durable: bool,
    /// A fixed port on 127.0.0.1; by default a free one is taken.
    pub port: Option<u16>,
    /// The port to try first; where it is taken another one is used.
    pub preferred_port: Option<u16>,
}

impl PostgresOptions {
    /// `pg_stat_statements` (where the server has it) and `pg_pitcrew` preloaded.
    #[must_use]
    pub fn with_extension(server: &Server) -> Self {
        let mut preload = Vec::new();
        if server.has_extension("pg_stat_statements") {
            preload.push("pg_stat_statements".to_owned());
        }
        preload.push("pg_pitcrew".to_owned());
        Self {
            preload,
            ..Self::default()
        }
    }
}

/// A private PostgreSQL cluster; stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    /// Owned by the server's account, mode 0700: data, sockets and log.
    dir: PathBuf,
    port: u16,
    password: String,
    options: PostgresOptions,
    child: Option<Child>,
    slot: Arc<Slot>,
}

impl Postgres {
    /// Starts a fresh cluster in `slot`; about 0.4 s.
    ///
    /// # Errors
    /// [`Error::Start`] with the log's last lines, [`Error::PortTaken`], [`Error::Io`].
    pub fn start(slot: &Arc<Slot>, server: &Server, options: PostgresOptions) -> Result<Self> {
        let dir = slot.folder("pg")?;
        let mut postgres = Self {
            server: server.clone(),
            port: 0,
            password: random::secret()?,
            options,
            child: None,
            slot: Arc::clone(slot),
            dir,
        };
        files::copy_cluster(&server.seed, &postgres.data_dir(), slot.place().account())?;
        postgres.first_start()?;
        let password = sql::literal(&postgres.password);
        postgres.run(
            "postgres",
            &[&format!("ALTER ROLE postgres PASSWORD {password}")],
        )?;
        Ok(postgres)
    }

    fn first_start(&mut self) -> Result<()> {
        if let Some(port) = self.options.port {
            if !random::is_free(port) {
                return Err(Error::PortTaken { port });
            }
            self.configure(port)?;
            return self.launch();
        }
        let mut tries = 0;
        let mut preferred = self.options.preferred_port;
        loop {
            self.configure(preferred.take().map_or_else(random::free_port, Ok)?)?;
            match self.launch() {
                Err(Error::Start { log, .. })
                    if tries < PORT_TRIES && log.contains("could not bind IPv4") =>
                {
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    fn configure(&mut self, port: u16) -> Result<()> {
        self.port = port;
        let data = self.data_dir();
        let original = self.server.seed.join("postgresql.conf");
        let mut text = fs::read_to_string(&original).map_err(Error::io("read", &original))?;
        let options = &self.options;
        text += &config::settings(
            &self.dir,
            port,
            &options.preload,
            options.durable,
            &options.settings,
        );
        self.write(&data.join("postgresql.conf"), &text)?;
        self.write(&data.join("pg_hba.conf"), config::ACCESS)
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        files::replace(path, text.as_bytes(), 0o600)?;
        self.slot.place().account().own(path)
    }

    /// Starts the server and waits until it takes connections.
    fn launch(&mut self) -> Result<()> {
        let log_path = self.log_path();
        let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
        let errors = log.try_clone().map_err(Error::io("write", &log_path))?;
        let data = self.data_dir();
        let program = self.server.bin.join("postgres");
        let mut command = Command::new(&program);
        command
            .arg("-D")
            .arg(&data)
            .current_dir(&data)
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        // Backtraces of the extension's panics are worth having in the log.
        if let Some(level) = std::env::var_os("RUST_BACKTRACE") {
            command.env("RUST_BACKTRACE", level);
        }
        self.slot.place().account().apply(&mut command);
        // Should we be killed: an immediate shutdown, for nothing of the data is kept.
        let mut child =
            process::spawn_server(command, libc::SIGQUIT).map_err(Error::io("start", &program))?;
        let pid_file = data.join("postmaster.pid");
        let pid = child.id().to_string();
        let ready = process::poll(READY_WITHIN, || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(format!("it ended with {status}")));
            }
            // Line 1 is the pid, line 8 the state (miscadmin.h); an old file may lie there from before a kill.
            let text = fs::read_to_string(&pid_file).unwrap_or_default();
            let mut lines = text.lines();
            let ours = lines.next() == Some(pid.as_str());
            (ours && lines.nth(6).is_some_and(|state| state.trim() == "ready")).then_some(Ok(()))
        });
        self.child = Some(child);
        let reason = match ready {
            Some(Ok(())) => return Ok(()),
            Some(Err(reason)) => reason,
            None => format!("it was not ready within {} s", READY_WITHIN.as_secs()),
        };
        self.kill();
        Err(Error::Start {
            server: self.server.pg_config.version.clone(),
            reason,
            log: process::last_lines(&log_path, LOG_LINES),
        })
    }

    /// The superuser's URL of `database` through the loopback port, with its password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// The URL of `database` for any `role`, through the socket: no password is asked there.
    #[must_use]
    pub fn socket_url(&self, role: &str, database: &str) -> String {
        socket_url(&self.dir, self.port, role, database)
    }

    /// Runs statements in `database` as the superuser; answers the last one's rows as text.
    ///
    /// # Errors
    /// [`Error::Sql`].
    pub fn run(&self, database: &str, statements: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        sql::run(&self.socket_url("postgres", database), statements)
    }

    /// Makes a database as a copy of `template`.
    ///
    /// # Errors
    /// [`Error::Sql`].
    pub fn create_database_from(&self, name: &str, template: &str) -> Result<()> {
        create_database(&self.socket_url("postgres", "postgres"), name, template)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// [`Error::Sql`].
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.create_database_from(name, "template1")
    }

    /// Drops a database, its sessions included; nothing where there is none of that name.
    ///
    /// # Errors
    /// [`Error::Sql`].
    pub fn drop_database(&self, name: &str) -> Result<()> {
        drop_database(&self.socket_url("postgres", "postgres"), name)
    }

    /// Stops the server (fast shutdown: sessions are ended, a checkpoint is written); the data stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal(&child, libc::SIGINT);
            if !process::wait_within(&mut child, STOPPED_WITHIN) {
                process::signal(&child, libc::SIGQUIT);
                process::wait_within(&mut child, STOPPED_WITHIN);
            }
            self.end_rest(Some(child));
        }
    }

    /// Kills the server with SIGKILL, backends and workers included, as a crash of the machine would; the data stays.
    pub fn kill(&mut self) {
        let child = self.child.take();
        if let Some(child) = &child {
            process::signal(child, libc::SIGKILL);
        }
        self.end_rest(child);
    }

    /// Backends leave the postmaster's process group, so they are found by what they are.
    fn end_rest(&self, child: Option<Child>) {
        process::end_all_in(self.slot.place().path(), &self.dir);
        if let Some(mut child) = child {
            let _ = child.wait();
        }
    }

    /// Starts the server again on the same port and data, after [`Postgres::stop`] or [`Postgres::kill`].
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_again(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let end = std::time::Instant::now() + READY_WITHIN;
        loop {
            match self.launch() {
                // A process that was killed is gone from /proc before the kernel has taken its memory apart.
                Err(Error::Start { log, .. })
                    if log.contains("pre-existing shared memory block")
                        && std::time::Instant::now() < end =>
                {
                    std::thread::sleep(LOOK_AGAIN);
                }
                other => return other,
            }
        }
    }

    /// [`Postgres::stop`] and [`Postgres::start_again`].
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.start_again()
    }

    /// Adds settings, which win over the earlier ones, and restarts.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn reconfigure(&mut self, settings: &[(&str, &str)]) -> Result<()> {
        self.stop();
        let owned = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.options.settings.extend(owned);
        self.configure(self.port)?;
        self.launch()
    }

    /// The process id of the postmaster, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// The superuser's password on the loopback port.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server that it runs from.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Whether it answers, and has had no crash since its last start.
    ///
    /// # Errors
    /// [`Error::Ended`] with the lines of its log that say why.
    pub fn check_running(&self) -> Result<()> {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let is_bad = |line: &&str| {
            [
                "PANIC:",
                "No space left on device",
                "was terminated by signal",
            ]
            .iter()
            .any(|sign| line.contains(sign))
        };
        let bad: Vec<&str> = log.lines().filter(is_bad).take(LOG_LINES).collect();
        let trouble = if self.run("postgres", &["SELECT 1"]).is_err() {
            "does not answer any more"
        } else if !bad.is_empty() {
            "had trouble"
        } else {
            return Ok(());
        };
        let log = if bad.is_empty() {
            process::last_lines(&self.log_path(), LOG_LINES)
        } else {
            bad.join("\n")
        };
        Err(Error::Ended {
            server: self.server.pg_config.version.clone(),
            trouble,
            log,
        })
    }

    /// The server's log since its last start.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Nothing is kept, so no checkpoint either: immediate, then whatever is left.
        if let Some(mut child) = self.child.take() {
            process::signal(&child, libc::SIGQUIT);
            process::wait_within(&mut child, Duration::from_secs(5));
            process::signal(&child, libc::SIGKILL);
            self.end_rest(Some(child));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A URL through the socket in `dir`; tokio-postgres and libpq both take a percent-encoded folder as the host.
pub(crate) fn socket_url(dir: &Path, port: u16, role: &str, database: &str) -> String {
    let bytes = dir.as_os_str().as_encoded_bytes();
    let host: String = bytes
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("postgresql://{role}@{host}:{port}/{database}")
}

/// `CREATE DATABASE ... TEMPLATE ...` through `url`.
pub(crate) fn create_database(url: &str, name: &str, template: &str) -> Result<()> {
    let statement = format!(
        "CREATE DATABASE {} TEMPLATE {}",
        sql::identifier(name),
        sql::identifier(template)
    );
    sql::run(url, &[&statement]).map(drop)
}

/// `DROP DATABASE IF EXISTS ... WITH (FORCE)` through `url`.
pub(crate) fn drop_database(url: &str, name: &str) -> Result<()> {
    sql::run(
        url,
        &[&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            sql::identifier(name)
        )],
    )
    .map(drop)
}
