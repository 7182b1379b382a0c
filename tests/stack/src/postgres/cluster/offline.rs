//! What is done to a cluster by the server's own programs, and while its server is down.

use std::process::Command;
use std::sync::Arc;

use super::super::server::Server;
use super::Postgres;
use crate::error::Result;
use crate::{files, process};

impl Postgres {
    /// A hot standby that streams from this server, which is restarted once: its data is copied while it is down.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn standby(&mut self, settings: &[(&str, &str)]) -> Result<Self> {
        self.stop();
        let mut options = self.options.clone();
        let source = format!(
            "host={} port={} user=postgres",
            self.dir.display(),
            self.port
        );
        let own = [
            ("primary_conninfo", source.as_str()),
            // It looks for the primary again soon, in ms.
            ("wal_retrieve_retry_interval", "100"),
        ];
        let all = own.iter().chain(settings);
        options
            .settings
            .extend(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut standby = Self {
            server: self.server.clone(),
            port: 0,
            password: self.password.clone(),
            options,
            child: None,
            slot: Arc::clone(&self.slot),
            dir: self.slot.folder("pg")?,
        };
        let account = self.slot.place().account();
        files::copy_cluster(&self.data_dir(), &standby.data_dir(), account)?;
        self.start_again()?;
        standby.write(&standby.data_dir().join("standby.signal"), "")?;
        standby.first_start()?;
        Ok(standby)
    }

    /// Gives every page a checksum; the server is restarted.
    ///
    /// # Errors
    /// [`Error::Program`](crate::Error::Program) where `pg_checksums` fails, and as [`Postgres::start`].
    pub fn enable_checksums(&mut self) -> Result<()> {
        self.stop();
        let mut command = self.command("pg_checksums");
        command
            .args(["--enable", "--no-sync", "--pgdata"])
            .arg(self.data_dir());
        process::output(&mut command)?;
        self.start_again()
    }

    /// Runs one of the server's programs against this server, as its superuser: `pg_dump`, `pg_restore`. Paths are below
    /// [`Postgres::socket_dir`]. Answers what it prints.
    ///
    /// # Errors
    /// [`Error::Program`](crate::Error::Program) with what it said.
    pub fn program(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(name);
        command
            .args(arguments)
            .env("PGHOST", &self.dir)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres");
        process::output(&mut command)
    }

    /// This cluster after `pg_upgrade` to a newer server, which runs with the same settings. This one stays stopped.
    ///
    /// # Errors
    /// [`Error::Program`](crate::Error::Program) where `pg_upgrade` refuses, and as [`Postgres::start`].
    pub fn upgraded(&mut self, server: &Server) -> Result<Self> {
        self.stop();
        let mut newer = Self::start(&self.slot, server, self.options.clone())?;
        newer.stop();
        let mut command = newer.command("pg_upgrade");
        command
            .arg("--old-bindir")
            .arg(&self.server.bin)
            .arg("--new-bindir")
            .arg(&server.bin)
            .arg("--old-datadir")
            .arg(self.data_dir())
            .arg("--new-datadir")
            .arg(newer.data_dir())
            .arg("--socketdir")
            .arg(&newer.dir)
            .args(["--username", "postgres", "--old-port"])
            .arg(self.port.to_string())
            .arg("--new-port")
            .arg(newer.port.to_string());
        process::output(&mut command)?;
        newer.password.clone_from(&self.password);
        newer.start_again()?;
        Ok(newer)
    }

    /// A program of the server's, run as the server's own user in the cluster's folder.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.server.bin.join(name));
        command
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        self.slot.place().account().apply(&mut command);
        command
    }
}
