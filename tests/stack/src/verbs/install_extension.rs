//! `install-extension`: the extension for the user's own server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use pitcrew_stack::{Error, Extension, PgConfig, Progress, Result};

use super::unknown;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut path = None;
    let mut dry_run = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--pg-config" => path = rest.next(),
            "--dry-run" => dry_run = true,
            "-y" => {}
            other => return Err(unknown("install-extension", other)),
        }
    }
    let path = path.ok_or_else(|| {
        Error::Usage("install-extension: --pg-config PATH names the server, for example /usr/lib/postgresql/17/bin/pg_config".into())
    })?;
    let pg_config = PgConfig::ask(Path::new(path))?;
    if !pg_config.include_server.join("postgres.h").exists() {
        return Err(Error::Missing {
            what: format!(
                "the headers of {} ({})",
                pg_config.version,
                pg_config.include_server.display()
            ),
            fix: format!(
                "install them (Debian: apt-get install postgresql-server-dev-{})",
                pg_config.major
            ),
        });
    }
    let root = pitcrew_stack::checkout();
    let extension = Extension::build(&root, &pg_config, Progress::Print)?;
    let files = extension.files(&pg_config.pkglib, &pg_config.share)?;
    for (target, contents) in &files {
        if dry_run {
            println!(
                "would write {} ({} bytes)",
                target.display(),
                contents.len()
            );
        } else {
            install(target, contents)?;
            println!("wrote {}", target.display());
        }
    }
    println!("{}", next_steps(&pg_config));
    Ok(ExitCode::SUCCESS)
}

/// Writes beside the target and renames: by ourselves where we may, else by `sudo`, else the user is told what to run.
fn install(target: &Path, contents: &[u8]) -> Result<()> {
    match pitcrew_stack::replace_file(target, contents) {
        Ok(()) => Ok(()),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            install_as_root(target, contents)
        }
        Err(error) => Err(error),
    }
}

fn install_as_root(target: &Path, contents: &[u8]) -> Result<()> {
    let kept = child_results(target)?;
    fs::write(&kept, contents).map_err(|source| Error::Io {
        action: "write",
        path: kept.clone(),
        source,
    })?;
    // `install` unlinks the old file first: a server that has it mapped lives on.
    let words = [
        "install".into(),
        "-m644".into(),
        kept.display().to_string(),
        target.display().to_string(),
    ];
    let done = Command::new("sudo")
        .arg("-n")
        .args(&words)
        .stdin(Stdio::null())
        .output();
    match done {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Error::Missing {
            what: format!("the right to write {}", target.display()),
            fix: format!(
                "run `sudo {}` (and the same for the other files beside it), or this command as root",
                words.join(" ")
            ),
        }),
    }
}

fn child_results(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().unwrap_or_default();
    Ok(super::child::results_dir(&pitcrew_stack::checkout())?.join(name))
}

/// What is left to do by hand.
fn next_steps(pg_config: &PgConfig) -> String {
    format!(
        "\nIn each database that wants it:\n    CREATE EXTENSION pg_pitcrew;\n\n\
         Suggestions and statistics answer at once. Jobs need the library in the server from its start; add to postgresql.conf\n    \
         shared_preload_libraries = 'pg_stat_statements, pg_pitcrew'\n\
         (append to what stands there) and restart PostgreSQL {}: a reload is not enough.\n\
         After an upgrade of the extension: restart too, then ALTER EXTENSION pg_pitcrew UPDATE.",
        pg_config.major
    )
}
