//! Suite `cache`: the response cache beside its peers, in one run.

mod in_process;
mod over_http;
mod policy;
mod second_level;

use pitcrew_stack::bench::Figure;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Options, Progress, Result, Stack, checkout};

use super::peers::Peers;

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let peers = Peers::build(&checkout(), signals, "peers", None)?;
    let stack = Stack::start(Options {
        postgres: false,
        extension: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let mut figures = Vec::new();
    for (what, part) in PARTS {
        figures.extend(Progress::Print.step(what, || part(&peers, &stack))?);
    }
    Ok(figures)
}

type Part = fn(&Peers<'_>, &Stack) -> Result<Vec<Figure>>;

/// What is measured, in the order of the table.
const PARTS: [(&str, Part); 6] = [
    ("instructions of a hit", in_process::instructions),
    ("CPU time of a hit", in_process::cpu_time),
    ("many at once", in_process::at_once),
    ("the second level", second_level::figures),
    ("hits over HTTP", over_http::figures),
    ("hit ratios", policy::figures),
];

/// Says why a figure, or a peer of it, is not in the table.
fn skipped(what: &str, reason: &str) {
    Progress::Print.say(format!("skipped: {what}: {reason}"));
}
