//! What folding and snapshots cost at the bound of series, and what all of it takes.

use pitcrew_stack::Result;
use pitcrew_stack::bench::{Figure, Interval};

use super::Programs;

/// Series beside those of `overflow`, so that all are 512.
const SERIES: &str = "505";
const THREADS: &str = "4";

/// As the program answers them.
const FIGURES: [(&str, &str); 5] = [
    ("fold_512_ms", "ms"),
    ("snapshot_512_ms", "ms"),
    ("snapshot_made_512_ms", "ms"),
    ("recorder_mib", "MiB"),
    ("recorder_resident_mib", "MiB"),
];

pub(super) fn figures(programs: &Programs<'_>) -> Result<Vec<Figure>> {
    let numbers = programs.plain.read(&["ledger", SERIES, THREADS])?;
    let told = FIGURES.iter().zip(numbers);
    Ok(told
        .map(|((name, unit), value)| {
            let reading = Interval {
                value,
                low: value,
                high: value,
            };
            Figure::own(name, unit, reading)
        })
        .collect())
}
