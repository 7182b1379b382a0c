//! Another major version of the server than the machine has: unpacked from a newer Debian suite, beside the system.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::postgres::{MAJORS, PgConfig};
use crate::progress::Progress;

/// Which suite has which major version. 16 was never in one.
const SUITES: [(u32, &str); 3] = [(15, "bookworm"), (17, "trixie"), (18, "sid")];

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
        .map_or_else(|| checkout.join("target"), std::path::PathBuf::from)
        .join(format!("servers/{major}"));
    let program = root.join(format!("lib/postgresql/{major}/bin/pg_config"));
    if program.exists() && root.join("complete").exists() {
        return PgConfig::ask(&program);
    }
    let Some((_, suite)) = SUITES.iter().find(|(number, _)| *number == major) else {
        return Err(Error::Missing {
            what: format!("PostgreSQL {major}"),
            fix: "no Debian suite has it; install it and name its pg_config in PITCREW_PG_CONFIG"
                .into(),
        });
    };
    progress.step(
        format!("unpack PostgreSQL {major} from Debian {suite}"),
        || {
            let script = checkout.join("tests/stack/server-from-suite.sh");
            let mut command = Command::new("sh");
            command
                .arg(&script)
                .arg(&root)
                .arg(suite)
                .arg(major.to_string())
                .stdin(Stdio::null());
            crate::process::output(&mut command)
        },
    )?;
    std::fs::write(root.join("complete"), "").map_err(Error::io("write", root.join("complete")))?;
    PgConfig::ask(&program)
}
