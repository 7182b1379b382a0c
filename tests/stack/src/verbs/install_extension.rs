//! `install-extension`: the extension for the user's own server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use pitcrew_stack::{Error, Extension, PgConfig, Progress, Result, sql};

use super::unknown;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut path = None;
    let mut url = None;
    let mut dry_run = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--pg-config" => path = rest.next(),
            "--url" => url = rest.next(),
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
    let running = url
        .map(|url| Running::ask(url, pg_config.major))
        .transpose()?;
    let root = pitcrew_stack::checkout();
    let extension = Extension::build(&root, &pg_config, Progress::Print)?;
    let files = extension.files(&pg_config.pkglib, &pg_config.share)?;
    if dry_run {
        for (target, contents) in &files {
            let bytes = contents.len();
            println!("would write {} ({bytes} bytes)", target.display());
        }
    } else {
        install(&files)?;
    }
    println!("{}", next_steps(pg_config.major, running.as_ref()));
    Ok(ExitCode::SUCCESS)
}

/// Writes beside the target and renames: by ourselves where we may, else by `sudo`, else the user is told what to run.
fn install(files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    for (at, (target, contents)) in files.iter().enumerate() {
        match pitcrew_stack::replace_file(target, contents) {
            Ok(()) => println!("wrote {}", target.display()),
            Err(Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                return install_as_root(&files[at..]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// All files are laid down first, so that what the user is told to run can be run.
fn install_as_root(files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    let dir = super::child::results_dir(&pitcrew_stack::checkout())?;
    let mut commands = Vec::new();
    for (target, contents) in files {
        let kept = dir.join(target.file_name().unwrap_or_default());
        fs::write(&kept, contents).map_err(|source| Error::Io {
            action: "write",
            path: kept.clone(),
            source,
        })?;
        // `install` unlinks the old file first: a server that has it mapped lives on.
        let paths = [kept, target.clone()].map(|path| path.display().to_string());
        commands.push((target, paths));
    }
    let is_root_for_the_asking = commands.iter().all(|(target, paths)| {
        let done = Command::new("sudo")
            .args(["-n", "install", "-m644"])
            .args(paths)
            .stdin(Stdio::null())
            .output();
        let done = done.is_ok_and(|output| output.status.success());
        if done {
            println!("wrote {} (by sudo)", target.display());
        }
        done
    });
    if is_root_for_the_asking {
        return Ok(());
    }
    let lines: Vec<String> = commands
        .iter()
        .map(|(_, [kept, target])| format!("    sudo install -m644 '{kept}' '{target}'"))
        .collect();
    let all: Vec<_> = files
        .iter()
        .map(|(target, _)| target.display().to_string())
        .collect();
    Err(Error::Missing {
        what: format!("the right to write {}", all.join(", ")),
        fix: format!("run this command as root, or:\n{}", lines.join("\n")),
    })
}

/// What the running server says.
struct Running {
    /// `shared_preload_libraries` as it is in force.
    preloaded: Vec<String>,
}

impl Running {
    /// Refuses a server of another major version: the files would not be for it.
    fn ask(url: &str, major: u32) -> Result<Self> {
        let asked = "SELECT current_setting('server_version_num')::int / 10000, current_setting('shared_preload_libraries')";
        let rows = sql::run(url, &[asked])?;
        let text = |column: usize| {
            let row = rows.first();
            row.and_then(|row| row.get(column).cloned().flatten())
                .unwrap_or_default()
        };
        let found = text(0);
        if found != major.to_string() {
            return Err(Error::Usage(format!(
                "install-extension: --url is PostgreSQL {found}, but --pg-config belongs to PostgreSQL {major}: name the server's own"
            )));
        }
        Ok(Self {
            preloaded: text(1)
                .split(',')
                .map(|name| name.trim().trim_matches('"').to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        })
    }
}

/// What is left to do by hand.
fn next_steps(major: u32, running: Option<&Running>) -> String {
    let create = "\nIn each database that wants it:\n    CREATE EXTENSION pg_pitcrew;\n\n\
                  Suggestions and statistics answer at once.";
    let upgrade =
        "After an upgrade of the extension: restart too, then ALTER EXTENSION pg_pitcrew UPDATE.";
    let line = |names: &[&str]| {
        let names = names.join(", ");
        format!("    shared_preload_libraries = '{names}'")
    };
    let Some(running) = running else {
        return format!(
            "{create} Jobs need the library in the server from its start; add to postgresql.conf\n{}\n\
             (append to what stands there; `--url` looks what that is) and restart PostgreSQL {major}: a reload is not enough.\n{upgrade}",
            line(&["pg_stat_statements", "pg_pitcrew"])
        );
    };
    let mut wanted: Vec<&str> = running.preloaded.iter().map(String::as_str).collect();
    for name in ["pg_stat_statements", "pg_pitcrew"] {
        if !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    if wanted.len() == running.preloaded.len() {
        return format!(
            "{create} The server preloads pg_pitcrew already, so jobs run too; restart it to run the files that were just written.\n{upgrade}"
        );
    }
    format!(
        "{create} Jobs need the library in the server from its start, and this server does not preload it; set in postgresql.conf\n{}\n\
         and restart PostgreSQL {major}: a reload is not enough.\n{upgrade}",
        line(&wanted)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_preloaded_stays_and_only_what_is_missing_is_added() {
        let said = |preloaded: &[&str]| {
            let preloaded = preloaded.iter().map(|&name| name.to_owned()).collect();
            next_steps(17, Some(&Running { preloaded }))
        };
        let some = said(&["auto_explain", "pg_stat_statements"]);
        assert!(
            some.contains(
                "shared_preload_libraries = 'auto_explain, pg_stat_statements, pg_pitcrew'"
            ),
            "{some}"
        );
        let all = said(&["pg_pitcrew", "pg_stat_statements"]);
        assert!(
            !all.contains("shared_preload_libraries") && all.contains("restart"),
            "{all}"
        );
    }
}
