//! The extension: compiled against a server's headers, installed into a tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::files;
use crate::install_sql::install_sql;
use crate::postgres::{PgConfig, Server};
use crate::progress::Progress;

/// The package, the library and the extension share one name.
pub const NAME: &str = "pg_pitcrew";

/// A compiled extension, ready to be installed.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The shared library.
    pub library: PathBuf,
    /// The control file.
    pub control: PathBuf,
    /// The version that the control file names.
    pub version: String,
    /// The install script's text.
    pub sql: String,
}

impl Extension {
    /// The folder that cargo builds into for one server version: another version in the same folder would build
    /// the bindings anew at every change.
    #[must_use]
    pub fn target_dir(checkout: &Path, major: u32) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| checkout.join("target"), PathBuf::from)
            .join(format!("pg{major}"))
    }

    /// A cargo command for the extension with the one set of features and folders that every caller uses.
    #[must_use]
    pub fn cargo(checkout: &Path, pg_config: &PgConfig, verb: &str) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .arg(verb)
            .args([
                "--locked",
                "--release",
                // Line tables are five sixths of the library, and nobody debugs it where it is installed.
                "--config",
                "profile.release.strip=\"debuginfo\"",
                "-p",
                NAME,
                "--no-default-features",
                "--features",
            ])
            .arg(format!("pg{}", pg_config.major))
            .env("PGRX_PG_CONFIG_PATH", &pg_config.program)
            .env(
                "CARGO_TARGET_DIR",
                Self::target_dir(checkout, pg_config.major),
            )
            .current_dir(checkout)
            .stdin(Stdio::null());
        command
    }

    /// Compiles the extension for `pg_config`'s server (release build); 2 to 3 minutes cold on two cores, a second warm.
    ///
    /// # Errors
    /// [`Error::Program`] where cargo fails (its own messages go to standard error), [`Error::Extension`] where the result cannot be read.
    pub fn build(checkout: &Path, pg_config: &PgConfig, progress: Progress) -> Result<Self> {
        progress.step(
            format!("build {NAME} for PostgreSQL {}", pg_config.major),
            || {
                let mut command = Self::cargo(checkout, pg_config, "build");
                command.arg("--lib");
                let status = command.status().map_err(|error| Error::Program {
                    program: "cargo build".into(),
                    detail: error.to_string(),
                })?;
                if !status.success() {
                    return Err(Error::Program {
                        program: format!("cargo build -p {NAME}"),
                        detail: format!("{status}; its messages stand above"),
                    });
                }
                Self::of_build(checkout, pg_config)
            },
        )
    }

    /// What an earlier [`Extension::build`] left.
    ///
    /// # Errors
    /// [`Error::Extension`] where there is nothing, or nothing that can be read.
    pub fn of_build(checkout: &Path, pg_config: &PgConfig) -> Result<Self> {
        let library =
            Self::target_dir(checkout, pg_config.major).join(format!("release/lib{NAME}.so"));
        let control = checkout
            .join("pg_extension")
            .join(format!("{NAME}.control"));
        let text = fs::read_to_string(&control).map_err(Error::io("read", &control))?;
        let version = version_of(&text).ok_or_else(|| {
            Error::Extension(format!("{} has no default_version", control.display()))
        })?;
        let sql =
            install_sql(&library, &control).map_err(|error| Error::Extension(error.to_string()))?;
        Ok(Self {
            library,
            control,
            version,
            sql,
        })
    }

    /// The files that make the extension: `(where, what)` for the given folders.
    ///
    /// # Errors
    /// [`Error::Io`] where a part cannot be read.
    pub fn files(&self, pkglib: &Path, share: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let read = |path: &Path| fs::read(path).map_err(Error::io("read", path));
        let scripts = share.join("extension");
        Ok(vec![
            (pkglib.join(format!("{NAME}.so")), read(&self.library)?),
            (
                scripts.join(format!("{NAME}--{}.sql", self.version)),
                self.sql.clone().into_bytes(),
            ),
            // Last: a server that sees the control file finds all the rest.
            (
                scripts.join(format!("{NAME}.control")),
                read(&self.control)?,
            ),
        ])
    }

    /// Installs into a copied tree; files that are the same are left alone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn install(&self, server: &Server) -> Result<()> {
        for (path, contents) in self.files(&server.pkglib, &server.share)? {
            if !fs::read(&path).is_ok_and(|old| old == contents) {
                files::replace(&path, &contents, 0o644)?;
            }
        }
        Ok(())
    }
}

/// `default_version = '0.1.0'`.
fn version_of(control: &str) -> Option<String> {
    control.lines().find_map(|line| {
        let value = line
            .trim()
            .strip_prefix("default_version")?
            .trim_start()
            .strip_prefix('=')?;
        Some(value.trim().trim_matches('\'').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn the_version_is_read_from_the_control_file() {
        assert_eq!(
            version_of("comment = 'x'\n default_version = '0.1.0'\n").as_deref(),
            Some("0.1.0")
        );
        assert_eq!(version_of("# default_version = '1'\n"), None);
    }
}
