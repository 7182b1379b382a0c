//! `bench`: suites of figures.

mod admin;
mod advisor;
mod cache;
mod capture;
mod care;
mod faults;
mod hostile;
mod layers;
mod load;
mod peers;
mod stack;

use std::process::ExitCode;

use pitcrew_stack::bench::{Figure, choices, write};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};

use super::{child, unknown};

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut wanted = None;
    for argument in arguments {
        match argument.as_str() {
            "-y" => {}
            name if SUITES.iter().any(|(suite, _)| *suite == name) => wanted = Some(name),
            other if other.starts_with('-') => return Err(unknown("bench", other)),
            other => {
                let names: Vec<&str> = SUITES.iter().map(|(suite, _)| *suite).collect();
                return Err(Error::Usage(format!(
                    "bench: no suite `{other}`; there are: {}",
                    names.join(", ")
                )));
            }
        }
    }
    let signals = Signals::install()?;
    let dir = child::results_dir(&pitcrew_stack::checkout())?.join("bench");
    for (name, suite) in SUITES
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
    {
        let figures = Progress::Print.step(format!("suite {name}"), || suite(&signals))?;
        let (table, path) = write(&dir, name, &figures)?;
        println!("{table}-> {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

type Suite = fn(&Signals) -> Result<Vec<Figure>>;

/// The suites, by name.
const SUITES: [(&str, Suite); 10] = [
    ("stack", stack::run),
    ("cache", cache::run),
    ("layers", layers::run),
    ("faults", faults::run),
    ("hostile", hostile::run),
    ("care", care::run),
    ("advisor", advisor::run_suite),
    ("capture", capture::run),
    ("load", load::run),
    ("admin", admin::run),
];
