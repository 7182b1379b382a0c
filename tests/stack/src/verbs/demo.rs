//! `demo`: all parts together on real data.

use std::process::{Command, ExitCode};

use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Progress, Result, Stack, TEMPLATE};

use super::{child, unknown};

/// What to leave out, and how to run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choice {
    check: bool,
    no_db: bool,
    no_redis: bool,
}

impl Choice {
    /// `--check` with or without servers, as the tests run it.
    pub(crate) fn check(servers: bool) -> Self {
        Self {
            check: true,
            no_db: !servers,
            no_redis: !servers,
        }
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut choice = Choice::default();
    for argument in arguments {
        match argument.as_str() {
            "--check" => choice.check = true,
            "--no-db" => choice.no_db = true,
            "--no-redis" => choice.no_redis = true,
            "-y" => {}
            other => return Err(unknown("demo", other)),
        }
    }
    let signals = Signals::install()?;
    run_with(choice, &signals, None)
}

/// Builds the example, starts what it needs, and runs it in the foreground; its exit code is ours.
pub(crate) fn run_with(
    choice: Choice,
    signals: &Signals,
    pg_config: Option<pitcrew_stack::PgConfig>,
) -> Result<ExitCode> {
    let progress = Progress::Print;
    let root = pitcrew_stack::checkout();
    progress.step("build the demo", || {
        let mut command = child::cargo(&root, &["build", "--release", "--bin", "demo"]);
        command.args(child::SELECTION);
        let status = child::foreground(command, signals)?;
        signals.check()?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Program {
                program: "cargo build --bin demo".into(),
                detail: format!("{status}; its messages stand above"),
            })
        }
    })?;
    let stack = Stack::start(Options {
        postgres: !choice.no_db,
        redis: !choice.no_redis,
        // What is measured should be what a production server does.
        durable: true,
        pg_config,
        progress,
        ..Options::default()
    })?;
    signals.check()?;
    let mut command = Command::new(child::target_dir(&root).join("release/demo"));
    command.current_dir(&root);
    if let Some(postgres) = stack.postgres() {
        postgres.create_database_from("demo", TEMPLATE)?;
    }
    connect(
        &mut command,
        stack.postgres().map(|postgres| postgres.url("demo")),
        stack.redis().map(pitcrew_stack::Redis::url),
    );
    let json = child::results_dir(&root)?.join(if choice.no_db {
        "demo-embedded.json"
    } else {
        "demo.json"
    });
    // Were this run to fail halfway, the figures of the last one would pass for its own.
    if let Err(source) = std::fs::remove_file(&json)
        && source.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::Io {
            action: "remove",
            path: json,
            source,
        });
    }
    if choice.check {
        command.arg("--check");
    }
    command.arg("--json").arg(json);
    let status = child::foreground(command, signals)?;
    if !signals.arrived() {
        explain(&stack, status)?;
    }
    // A demo that was ended by Ctrl-C ended as it should, unless it was asked for a verdict.
    let ended_on_request = signals.arrived() && !choice.check;
    let code = if ended_on_request {
        0
    } else {
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1)
    };
    Ok(ExitCode::from(code))
}

/// What stands behind a demo that failed: a server of ours that is gone, or the demo's own end.
fn explain(stack: &Stack, status: std::process::ExitStatus) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    if status.success() {
        return Ok(());
    }
    if let Some(postgres) = stack.postgres() {
        postgres.check_running()?;
    }
    if let Some(redis) = stack.redis() {
        redis.check_running()?;
    }
    match status.signal() {
        Some(signal) => Err(Error::Program {
            program: "demo".into(),
            detail: format!("signal {signal} ended it"),
        }),
        None => Ok(()),
    }
}

/// Tells the demo where its servers are. By its environment: the URLs hold passwords, and the command line of a process can
/// be read by every user of the machine, its environment by its own user alone.
fn connect(command: &mut Command, database_url: Option<String>, redis_url: Option<String>) {
    for (url, variable, without) in [
        (database_url, "PITCREW_DEMO_DATABASE_URL", "--no-db"),
        (redis_url, "PITCREW_DEMO_REDIS_URL", "--no-redis"),
    ] {
        match url {
            Some(url) => command.env(variable, url),
            // Whatever our own environment says.
            None => command.env_remove(variable).arg(without),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_url_stands_on_the_demos_command_line() {
        let url = |name: &str| Some(format!("{name}://me:secret@127.0.0.1/demo"));
        let mut command = Command::new("demo");
        connect(&mut command, url("postgresql"), url("redis"));
        assert_eq!(command.get_args().count(), 0);
        let given = command.get_envs().filter_map(|(_, value)| value);
        assert_eq!(given.count(), 2);

        let mut command = Command::new("demo");
        connect(&mut command, None, None);
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["--no-db", "--no-redis"]);
        assert!(command.get_envs().all(|(_, value)| value.is_none()));
    }
}
