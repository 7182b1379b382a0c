//! Another major version of the server than the machine has: unpacked from another Debian suite, or from a Python package,
//! beside the system.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::postgres::{MAJORS, PgConfig};
use crate::progress::Progress;

/// Where a major version is had from.
enum Source {
    /// A Debian suite.
    Suite(&'static str),
    /// The Python package that `server-from-wheel.sh` names: without contrib, so what needs pg_stat_statements is skipped there.
    Wheel,
}

/// 16 was in no Debian suite.
const SOURCES: [(u32, Source); 4] = [
    (15, Source::Suite("bookworm")),
    (16, Source::Wheel),
    (17, Source::Suite("trixie")),
    (18, Source::Suite("sid")),
];

/// The newest server that is supported and can be had; says which newer one could not.
///
/// # Errors
/// As [`find_or_fetch_major`], where none can.
pub fn find_or_fetch_newest(checkout: &Path, progress: Progress) -> Result<PgConfig> {
    let mut major = *MAJORS.end();
    loop {
        match find_or_fetch_major(checkout, major, progress) {
            Err(error) if major > *MAJORS.start() => {
                progress.say(format!(
                    "PostgreSQL {major} cannot be had, an older one is tried: {error}"
                ));
                major -= 1;
            }
            other => return other,
        }
    }
}

/// The installed server of that major version, else one from a Debian suite, cached below `target/`.
///
/// # Errors
/// [`Error::Usage`] for a version that is not supported, [`Error::Missing`] where it cannot be had, [`Error::Program`] where unpacking fails.
pub fn find_or_fetch_major(checkout: &Path, major: u32, progress: Progress) -> Result<PgConfig> {
    if !MAJORS.contains(&major) {
        return Err(Error::Usage(format!(
            "PostgreSQL {major} is not supported; {} to {} are",
            MAJORS.start(),
            MAJORS.end()
        )));
    }
    if let Some(named) = std::env::var_os("PITCREW_PG_CONFIG") {
        let named = PgConfig::ask(Path::new(&named))?;
        if named.major == major {
            return Ok(named);
        }
    }
    if let Some(installed) = PgConfig::all()
        .into_iter()
        .find(|found| found.major == major && found.is_complete())
    {
        return Ok(installed);
    }
    let root = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| checkout.join("target"), PathBuf::from)
        .join(format!("servers/{major}"));
    let Some((_, source)) = SOURCES.iter().find(|(number, _)| *number == major) else {
        return Err(Error::Missing {
            what: format!("PostgreSQL {major}"),
            fix:
                "it can be had from nowhere; install it and name its pg_config in PITCREW_PG_CONFIG"
                    .into(),
        });
    };
    let (program, from) = match source {
        Source::Suite(suite) => (
            root.join(format!("lib/postgresql/{major}/bin/pg_config")),
            format!("Debian {suite}"),
        ),
        Source::Wheel => (root.join("bin/pg_config"), "a Python package".to_owned()),
    };
    if program.exists() && root.join("complete").exists() {
        return PgConfig::ask(&program);
    }
    progress.step(format!("unpack PostgreSQL {major} from {from}"), || {
        let mut command = Command::new("sh");
        let script = |name: &str| checkout.join("tests/stack").join(name);
        match source {
            Source::Suite(suite) => command
                .arg(script("server-from-suite.sh"))
                .arg(&root)
                .arg(suite)
                .arg(major.to_string()),
            Source::Wheel => command.arg(script("server-from-wheel.sh")).arg(&root),
        };
        crate::process::output(command.stdin(Stdio::null()))
    })?;
    std::fs::write(root.join("complete"), "").map_err(Error::io("write", root.join("complete")))?;
    PgConfig::ask(&program)
}

/// The regression tests of exactly this server, from its source package: `regress/` as there, and in `lib/` what they load. Cached in `place`,
/// where the account that servers run as may read.
///
/// # Errors
/// [`Error::Missing`] for a server that is no Debian package, [`Error::Program`] where the source cannot be had or compiled.
pub fn fetch_tests(place: &Place, server: &PgConfig, progress: Progress) -> Result<PathBuf> {
    let missing = |what: String| Error::Missing {
        what,
        fix: "use a server of Debian's packages".into(),
    };
    let version = debian_version(&server.version)
        .ok_or_else(|| missing(format!("the source package of {}", server.version)))?;
    let suite = SOURCES.iter().find_map(|(major, source)| match source {
        Source::Suite(suite) if *major == server.major => Some(*suite),
        _ => None,
    });
    let suite =
        suite.ok_or_else(|| missing(format!("a Debian suite with PostgreSQL {}", server.major)))?;
    let root = place.path().join(format!("tests-{version}"));
    let complete = root.join("complete");
    if complete.exists() {
        return Ok(root);
    }
    progress.step(format!("fetch the source of PostgreSQL {version}"), || {
        let mut command = Command::new("sh");
        command
            .arg(crate::checkout().join("tests/stack/tests-from-source.sh"))
            .arg(&root)
            .arg(suite)
            .arg(server.major.to_string())
            .arg(version)
            .arg(&server.program)
            .stdin(Stdio::null());
        crate::process::output(&mut command)
    })?;
    std::fs::write(&complete, "").map_err(Error::io("write", &complete))?;
    Ok(root)
}

/// `PostgreSQL 15.18 (Debian 15.18-0+deb12u1)` to the package's version.
fn debian_version(version: &str) -> Option<&str> {
    version.split_once("(Debian ")?.1.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::debian_version;

    #[test]
    fn the_package_is_read_from_the_version() {
        assert_eq!(
            debian_version("PostgreSQL 15.18 (Debian 15.18-0+deb12u1)"),
            Some("15.18-0+deb12u1")
        );
        assert_eq!(debian_version("PostgreSQL 16.4"), None);
    }
}
