//! What is done to a cluster while its server is down.

use std::process::Command;
use std::sync::Arc;

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
        let data = self.data_dir();
        let mut command = Command::new(self.server.bin.join("pg_checksums"));
        command
            .args(["--enable", "--no-sync", "--pgdata"])
            .arg(&data)
            .current_dir(&data)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        self.slot.place().account().apply(&mut command);
        process::output(&mut command)?;
        self.start_again()
    }
}
