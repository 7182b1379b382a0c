//! Suite `layers`: what the latency and memory layers cost, beside their peers, in one run.

mod cost;
mod ledger;
mod memory;

use pitcrew_stack::bench::Figure;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Progress, Result, checkout};

use super::peers::Peers;

/// The program of the peers, and the same where hotpath counts allocations, which the whole of a program then pays for.
pub(super) struct Programs<'a> {
    plain: Peers<'a>,
    counting: Peers<'a>,
    signals: &'a Signals,
}

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let (root, name) = (checkout(), "layer-peers");
    let programs = Programs {
        plain: Peers::build(&root, signals, name, None)?,
        counting: Peers::build(&root, signals, name, Some("hotpath-alloc"))?,
        signals,
    };
    let mut figures = Vec::new();
    for (what, part) in PARTS {
        figures.extend(Progress::Print.step(what, || part(&programs))?);
    }
    Ok(figures)
}

type Part = fn(&Programs<'_>) -> Result<Vec<Figure>>;

/// What is measured, in the order of the table.
const PARTS: [(&str, Part); 4] = [
    ("instructions of a latency record", cost::instructions),
    ("CPU time of a latency record", cost::cpu_time),
    ("folds and snapshots", ledger::figures),
    ("the memory layer", |programs| {
        memory::figures(programs.signals)
    }),
];

/// Says why a figure, or a peer of it, is not in the table.
fn skipped(what: &str, reason: &str) {
    Progress::Print.say(format!("skipped: {what}: {reason}"));
}
