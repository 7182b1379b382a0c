//! Programs that a verb runs in the foreground.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pitcrew_stack::process::Group;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Result};

/// How long a program may take to end after it was asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// How often a running program is looked at where nothing else wakes us.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs `command` to its end, each line of its output (both streams, in order) printed and given to `line`.
///
/// The program gets a process group of its own; a signal that reaches us is passed on to all of it.
pub(crate) fn stream(
    mut command: Command,
    signals: &Signals,
    line: &mut dyn FnMut(&str),
) -> Result<ExitStatus> {
    let program = describe(&command);
    let fault = |error: std::io::Error| Error::Program {
        program: program.clone(),
        detail: error.to_string(),
    };
    let (reader, writer) = std::io::pipe().map_err(fault)?;
    command
        .stdout(writer.try_clone().map_err(fault)?)
        .stderr(writer);
    // `Group::start` takes the command, and with it our own copies of the writing end: else the reader never sees the end.
    let mut group = Group::start(command).map_err(fault)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                signals.wait(Some(LOOK_EVERY * 4));
                if signals.arrived() {
                    group.interrupt();
                    return;
                }
            }
        });
        let mut output = BufReader::new(reader);
        let mut bytes = Vec::new();
        // Lossy, by bytes: a program may print anything.
        while output
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&bytes);
            let _ = std::io::stdout().write_all(text.as_bytes());
            line(text.trim_end());
            bytes.clear();
        }
        done.store(true, Ordering::Release);
    });
    let status = group.end_within(ENDS_WITHIN).map_err(fault)?;
    signals.check()?;
    Ok(status)
}

/// Runs `command` with our own output until it ends, or a signal arrives: then it is asked to end, and waited for.
pub(crate) fn foreground(command: Command, signals: &Signals) -> Result<ExitStatus> {
    let program = describe(&command);
    let fault = |error: std::io::Error| Error::Program {
        program: program.clone(),
        detail: error.to_string(),
    };
    let mut group = Group::start(command).map_err(fault)?;
    loop {
        if let Some(status) = group.ended().map_err(fault)? {
            return Ok(status);
        }
        signals.wait(Some(LOOK_EVERY));
        if signals.arrived() {
            group.interrupt();
            return group.end_within(ENDS_WITHIN).map_err(fault);
        }
    }
}

/// cargo, from the workspace's root, without standard input.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root);
    command
}

/// The one selection of packages that every step uses: another one would build the shared crates anew.
pub(crate) const SELECTION: [&str; 4] = ["--locked", "--workspace", "--exclude", "pg_pitcrew"];

/// Where cargo builds.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Where results are written.
pub(crate) fn results_dir(root: &Path) -> Result<PathBuf> {
    let dir = root.join("target/pitcrew");
    std::fs::create_dir_all(&dir).map_err(|source| Error::Io {
        action: "make",
        path: dir.clone(),
        source,
    })?;
    Ok(dir)
}

fn describe(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
