//! One file a verb.

mod up;

use std::io::Write;
use std::process::ExitCode;

use pitcrew_stack::{Error, Result};

/// Runs the verb that the command line names.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((verb, rest)) => run(verb, rest),
        None => Err(Error::Usage(USAGE.into())),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pitcrew: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

const USAGE: &str = "usage: pitcrew-stack up [--no-extension]";

fn run(verb: &str, rest: &[String]) -> Result<ExitCode> {
    match verb {
        "up" => up::run(rest),
        other => Err(Error::Usage(format!("no verb `{other}`; {USAGE}"))),
    }
}
