//! The server's programs, copied where we may write and where the account that runs them may read.
//!
//! PostgreSQL finds its `lib` and `share` relative to its own `bin`, so a copied tree works as long as the three keep
//! their places towards one another. Nothing is ever written to the tree that was copied.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::loader;
use crate::error::{Error, Result};
use crate::files;
use crate::place::{Place, fnv1a};
use crate::process;
use crate::progress::Progress;

/// Major versions that the extension supports.
pub const MAJORS: std::ops::RangeInclusive<u32> = 15..=18;

/// What a `pg_config` says about its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PgConfig {
    /// The program that was asked.
    pub program: PathBuf,
    /// Major version, 15 to 18.
    pub major: u32,
    /// The whole version line.
    pub version: String,
    /// Where the programs are.
    pub bin: PathBuf,
    /// Where libraries are loaded from (`$libdir`).
    pub pkglib: PathBuf,
    /// Where `extension/` is.
    pub share: PathBuf,
    /// Where the server's headers are, if they are installed.
    pub include_server: PathBuf,
}

impl PgConfig {
    /// Asks the program at `path`.
    ///
    /// # Errors
    /// [`Error::Program`] where it does not run; [`Error::Format`] where its major version is not supported.
    pub fn ask(path: &Path) -> Result<Self> {
        let ask = |what: &str| {
            process::output(Command::new(path).arg(what)).map(|text| text.trim().to_owned())
        };
        if !path.is_file() {
            return Err(Error::Missing {
                what: format!("a pg_config at {}", path.display()),
                fix:
                    "name the one of your server, for example /usr/lib/postgresql/17/bin/pg_config"
                        .into(),
            });
        }
        let version = ask("--version")?;
        let version = version.lines().next().unwrap_or_default().to_owned();
        if !version.starts_with("PostgreSQL ") {
            return Err(Error::Format {
                path: path.to_path_buf(),
                detail: format!("is no pg_config: asked for its version it says `{version}`"),
            });
        }
        let major = major_of(&version)
            .filter(|major| MAJORS.contains(major))
            .ok_or_else(|| Error::Format {
                path: path.to_path_buf(),
                detail: format!(
                    "says `{version}`, but the extension supports PostgreSQL {} to {}",
                    MAJORS.start(),
                    MAJORS.end()
                ),
            })?;
        Ok(Self {
            program: path.to_path_buf(),
            major,
            version,
            bin: ask("--bindir")?.into(),
            pkglib: ask("--pkglibdir")?.into(),
            share: ask("--sharedir")?.into(),
            include_server: ask("--includedir-server")?.into(),
        })
    }

    /// Finds a server: `PITCREW_PG_CONFIG` if set, else the newest one in the usual places that has its headers.
    ///
    /// # Errors
    /// [`Error::Missing`], or those of [`PgConfig::ask`] for the one that was asked for.
    pub fn find() -> Result<Self> {
        if let Some(path) = std::env::var_os("PITCREW_PG_CONFIG") {
            return Self::ask(Path::new(&path));
        }
        Self::all().into_iter().find(Self::is_complete).ok_or_else(|| Error::Missing {
            what: format!("a PostgreSQL server ({} to {}) with its headers", MAJORS.start(), MAJORS.end()),
            fix: "run `./pitcrew doctor` to see what to install, or name a pg_config in PITCREW_PG_CONFIG".into(),
        })
    }

    /// Every supported server in the usual places and on the PATH, newest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let usual = MAJORS.rev().flat_map(|major| {
            [
                format!("/usr/lib/postgresql/{major}/bin/pg_config"),
                format!("/usr/pgsql-{major}/bin/pg_config"),
                format!("/opt/homebrew/opt/postgresql@{major}/bin/pg_config"),
            ]
        });
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|dir| dir.join("pg_config"));
        let mut found: Vec<Self> = Vec::new();
        for candidate in usual
            .map(PathBuf::from)
            .chain(on_path)
            .filter(|path| path.exists())
        {
            if let Ok(server) = Self::ask(&candidate)
                && !found.iter().any(|known| known.bin == server.bin)
            {
                found.push(server);
            }
        }
        found
    }

    /// Whether the server itself and its headers are installed (a client package brings `pg_config` alone).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.bin.join("postgres").exists() && self.include_server.join("postgres.h").exists()
    }
}

/// `PostgreSQL 15.20 (Debian ...)` and `PostgreSQL 19beta1` to the number.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(1)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A server tree of our own with an initialised cluster to copy from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    /// The server that was copied: what extensions are compiled against.
    pub pg_config: PgConfig,
    /// Programs of the copy.
    pub bin: PathBuf,
    /// Libraries of the copy.
    pub pkglib: PathBuf,
    /// `share` of the copy.
    pub share: PathBuf,
    /// An initialised data directory that never ran.
    pub seed: PathBuf,
}

impl Server {
    /// Copies the server and initialises a cluster, unless an earlier run did; about 2 s, or nothing.
    ///
    /// # Errors
    /// [`Error::Io`] (disk full among them), [`Error::Program`] where `initdb` fails.
    pub fn prepare(place: &Place, pg_config: PgConfig, progress: Progress) -> Result<Self> {
        let name = format!("pg{}-{:08x}", pg_config.major, fingerprint(&pg_config)?);
        Self::prepare_as(place, pg_config, &name, progress)
    }

    /// A second copy under another name, for a test that needs a tree without what others installed.
    ///
    /// # Errors
    /// As [`Server::prepare`].
    pub fn prepare_apart(
        place: &Place,
        pg_config: PgConfig,
        name: &str,
        progress: Progress,
    ) -> Result<Self> {
        let name = format!(
            "pg{}-{:08x}-{name}",
            pg_config.major,
            fingerprint(&pg_config)?
        );
        Self::prepare_as(place, pg_config, &name, progress)
    }

    fn prepare_as(
        place: &Place,
        pg_config: PgConfig,
        name: &str,
        progress: Progress,
    ) -> Result<Self> {
        let _lock = place.preparing()?;
        let root = place.path().join(name);
        let prefix = common_prefix(&pg_config)?;
        let inside = |path: &Path| root.join(path.strip_prefix(&prefix).unwrap_or(path));
        let server = Self {
            bin: inside(&pg_config.bin),
            pkglib: inside(&pg_config.pkglib),
            share: inside(&pg_config.share),
            seed: root.join("seed"),
            pg_config,
        };
        let complete = root.join("complete");
        if complete.exists() {
            return Ok(server);
        }
        if root.exists() {
            fs::remove_dir_all(&root).map_err(Error::io("remove", &root))?;
        }
        progress.step(format!("copy {}", server.pg_config.version), || {
            server.copy(&prefix, &root)
        })?;
        progress.step("initialise a cluster", || server.init(place))?;
        fs::write(&complete, "").map_err(Error::io("write", &complete))?;
        Ok(server)
    }

    fn copy(&self, prefix: &Path, root: &Path) -> Result<()> {
        let from = &self.pg_config;
        // Left out: bitcode for a JIT that our clusters keep off, and the build system of C extensions.
        let wanted = |path: &Path| {
            !["bitcode", "pgxs", "man"]
                .iter()
                .any(|folder| path.starts_with(folder))
        };
        files::copy_tree(&from.bin, &self.bin, &|_| true)?;
        if from.pkglib != from.bin {
            files::copy_tree(&from.pkglib, &self.pkglib, &wanted)?;
        }
        files::copy_tree(&from.share, &self.share, &wanted)?;
        let libraries = prefix.join("syslib");
        if libraries.is_dir() {
            let copied = root.join("syslib");
            files::copy_tree(&libraries, &copied, &|_| true)?;
            loader::point_to_loader(&self.bin, &copied)?;
        }
        Ok(())
    }

    fn init(&self, place: &Place) -> Result<()> {
        fs::create_dir(&self.seed).map_err(Error::io("make", &self.seed))?;
        place.account().own(&self.seed)?;
        let mut command = Command::new(self.bin.join("initdb"));
        command
            .arg("--pgdata")
            .arg(&self.seed)
            .args(init_arguments(self.pg_config.major))
            .current_dir(place.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        place.account().apply(&mut command);
        process::output(&mut command).map(drop)
    }

    /// Whether the copy has the extension `name` (contrib is missing from some builds).
    #[must_use]
    pub fn has_extension(&self, name: &str) -> bool {
        self.share
            .join("extension")
            .join(format!("{name}.control"))
            .exists()
    }
}

/// What all three folders begin with. The copy keeps what follows it.
fn common_prefix(pg_config: &PgConfig) -> Result<PathBuf> {
    pg_config
        .bin
        .ancestors()
        .find(|prefix| {
            prefix.is_absolute()
                && pg_config.pkglib.starts_with(prefix)
                && pg_config.share.starts_with(prefix)
        })
        .map(Path::to_path_buf)
        .ok_or_else(|| Error::Format {
            path: pg_config.program.clone(),
            detail: "names relative folders; give its absolute path".into(),
        })
}

/// How a cluster is initialised.
fn init_arguments(major: u32) -> impl Iterator<Item = &'static str> {
    let all = [
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--auth=trust",
        // Nothing here has to survive a power cut.
        "--no-sync",
    ];
    // On by default from 18 on; pg_upgrade wants a cluster to be as the older one.
    let newer = (major >= 18).then_some("--no-data-checksums");
    all.into_iter().chain(newer)
}

/// A number for "this very server": its folder, its version, the time its program was written, how clusters are initialised.
fn fingerprint(pg_config: &PgConfig) -> Result<u32> {
    let program = pg_config.bin.join("postgres");
    let written = fs::metadata(&program)
        .and_then(|found| found.modified())
        .map_err(Error::io("look at", &program))?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let init: Vec<&str> = init_arguments(pg_config.major).collect();
    let text = format!(
        "{} {} {written} {}",
        pg_config.bin.display(),
        pg_config.version,
        init.join(" ")
    );
    Ok(fnv1a(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(
            major_of("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major_of("PostgreSQL 19beta1"), Some(19));
        assert_eq!(major_of("PostgreSQL"), None);
    }

    #[test]
    fn the_copy_keeps_the_three_folders_apart_as_they_were() {
        let at = |bin: &str, pkglib: &str, share: &str| PgConfig {
            program: "pg_config".into(),
            major: 15,
            version: String::new(),
            bin: bin.into(),
            pkglib: pkglib.into(),
            share: share.into(),
            include_server: PathBuf::new(),
        };
        let debian = at(
            "/usr/lib/postgresql/15/bin",
            "/usr/lib/postgresql/15/lib",
            "/usr/share/postgresql/15",
        );
        assert_eq!(common_prefix(&debian).unwrap(), Path::new("/usr"));
        let own = at("/opt/pg/bin", "/opt/pg/lib", "/opt/pg/share");
        assert_eq!(common_prefix(&own).unwrap(), Path::new("/opt/pg"));
        assert!(common_prefix(&at("bin", "/lib", "/share")).is_err());
    }
}
