//! What `require!` can ask for: each function answers what is missing.

use super::{PgConfig, Reason, stack};
use crate::process::find_program;

/// A Postgres (with the extension, if the stack has it).
#[must_use]
pub fn database() -> Option<Reason> {
    match stack() {
        Some(stack) if stack.postgres.is_some() => None,
        _ => Some(Reason::no_stack()),
    }
}

/// The extension, preloaded.
#[must_use]
pub fn extension() -> Option<Reason> {
    match stack().and_then(|stack| stack.postgres.as_ref()) {
        None => Some(Reason::no_stack()),
        Some(postgres) if !postgres.extension => {
            Some("the stack runs without the extension".into())
        }
        Some(_) => None,
    }
}

/// `pg_stat_statements` beside the extension.
#[must_use]
pub fn statements() -> Option<Reason> {
    extension().or_else(|| {
        let postgres = stack()?.postgres.as_ref()?;
        (!postgres.statements).then(|| Reason {
            text: format!(
                "{} was built without pg_stat_statements",
                postgres.server.pg_config.version
            ),
            allowed: true,
        })
    })
}

/// A server with the MAINTAIN privilege.
#[must_use]
pub fn maintain() -> Option<Reason> {
    extension().or_else(|| {
        let major = stack()?.postgres.as_ref()?.server.pg_config.major;
        (major < 17).then(|| Reason {
            text: format!("PostgreSQL {major} has no MAINTAIN privilege; 17 has"),
            allowed: true,
        })
    })
}

/// A server where NOT NULL is a constraint that may be not validated.
#[must_use]
pub fn not_null_constraints() -> Option<Reason> {
    extension().or_else(|| {
        let major = stack()?.postgres.as_ref()?.server.pg_config.major;
        (major < 18).then(|| Reason {
            text: format!("PostgreSQL {major} has no NOT NULL that is NOT VALID; 18 has"),
            allowed: true,
        })
    })
}

/// An older server beside this one, to upgrade from.
#[must_use]
pub fn older_server() -> Option<Reason> {
    extension().or_else(|| {
        let major = stack()?.postgres.as_ref()?.server.pg_config.major;
        let is_there = PgConfig::all()
            .iter()
            .any(|found| found.major < major && found.is_complete());
        (!is_there).then(|| Reason {
            text: format!("no server older than PostgreSQL {major} is installed"),
            allowed: true,
        })
    })
}

/// What Chromium is called, by distribution; the first that is there.
pub const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// What its WebDriver is called.
pub const DRIVERS: [&str; 2] = ["chromedriver", "chromium.chromedriver"];

/// Chromium and its WebDriver.
#[must_use]
pub fn browser() -> Option<Reason> {
    let is_there = |names: &[&str]| names.iter().any(|name| find_program(name).is_some());
    (!is_there(&BROWSERS) || !is_there(&DRIVERS)).then(|| {
        "Chromium and chromedriver are not installed; `./pitcrew test -y` installs them".into()
    })
}

/// Python that makes environments of its own, with pip.
#[must_use]
pub fn python() -> Option<Reason> {
    let tried = std::process::Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(std::process::Stdio::null())
        .status();
    (!tried.is_ok_and(|status| status.success()))
        .then(|| "Python 3 with venv is not installed; `./pitcrew test -y` installs it".into())
}

/// A Redis.
#[must_use]
pub fn redis() -> Option<Reason> {
    match stack() {
        Some(stack) if stack.redis_program.is_some() => None,
        _ => Some(Reason::no_stack()),
    }
}
