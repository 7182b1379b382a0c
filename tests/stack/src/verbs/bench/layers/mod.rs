//! Suite `layers`: what the layers that only watch cost.

mod memory;

use pitcrew_stack::bench::Figure;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Progress, Result};

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (what, part) in PARTS {
        figures.extend(Progress::Print.step(what, || part(signals))?);
    }
    Ok(figures)
}

type Part = fn(&Signals) -> Result<Vec<Figure>>;

/// What is measured, in the order of the table: one part a layer.
const PARTS: [(&str, Part); 1] = [("the memory layer", memory::figures)];

/// Says why a figure is not in the table.
fn skipped(what: &str, reason: &str) {
    Progress::Print.say(format!("skipped: {what}: {reason}"));
}
