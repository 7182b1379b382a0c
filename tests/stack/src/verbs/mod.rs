//! One file a verb.

mod bench;
mod child;
mod demo;
mod install_extension;
mod test;
mod up;

use std::io::Write;
use std::process::ExitCode;

use pitcrew_stack::{Error, Result};

/// Runs the verb that the command line names.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((verb, rest)) => run(verb, rest),
        None => Err(usage()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pitcrew: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(verb: &str, arguments: &[String]) -> Result<ExitCode> {
    match verb {
        "up" => up::run(arguments),
        "demo" => demo::run(arguments),
        "test" => test::run(arguments),
        "bench" => bench::run(arguments),
        "install-extension" => install_extension::run(arguments),
        _ => Err(usage()),
    }
}

fn usage() -> Error {
    Error::Usage(
        "verbs: demo, test, bench, up, install-extension; `./pitcrew help` tells more".into(),
    )
}

/// What a verb says to an argument that it does not know.
fn unknown(verb: &str, argument: &str) -> Error {
    Error::Usage(format!(
        "{verb}: what is `{argument}`? `./pitcrew help` tells what it takes"
    ))
}
