//! The memory layer, without and with the counting allocator: two programs that differ in their allocator alone.

use pitcrew_stack::bench::{Figure, ROUNDS, Reading, interval, quotients, rounds};
use pitcrew_stack::process::find_program;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Result, checkout};

use super::super::peers::Peers;
use super::skipped;

/// Heavy requests of a reading.
const HEAVY_REQUESTS: &str = "20000";

/// Readings of the resident set size of one reading.
const RSS_READINGS: &str = "100000";

pub(super) fn figures(signals: &Signals) -> Result<Vec<Figure>> {
    let built = Peers::build(&checkout(), signals, "memory-cost", None)?;
    let (plain, counting) = (built.beside("plain"), built.beside("counting"));
    let mut figures = instructions(&plain, &counting)?;
    figures.extend(times(&plain, &counting)?);
    figures.extend(verdicts(&plain)?);
    Ok(figures)
}

/// Instructions that the layer adds to a no-op wrapper, and that counting adds to an allocation with its release.
fn instructions(plain: &Peers<'_>, counting: &Peers<'_>) -> Result<Vec<Figure>> {
    if find_program("valgrind").is_none() {
        skipped(
            "memory_extra_instr and its like",
            "valgrind is not installed",
        );
        return Ok(Vec::new());
    }
    let count = |program: &'static str, words: &'static [&'static str]| -> Reading<'_, Error> {
        let program = if program == "plain" { plain } else { counting };
        Box::new(move || {
            let counted = program.instructions(words)?;
            Ok(counted.unwrap_or(f64::NAN))
        })
    };
    let read = rounds(
        11,
        &mut [
            count("plain", &["requests", "noop"]),
            count("plain", &["requests", "memory"]),
            count("counting", &["requests", "noop"]),
            count("counting", &["requests", "memory"]),
            count("plain", &["pairs"]),
            count("counting", &["pairs"]),
            // The control: the same thing twice.
            count("plain", &["requests", "noop"]),
        ],
    )?;
    let less = |from: usize, what: usize| -> Vec<f64> {
        let pairs = read[from].iter().zip(&read[what]);
        pairs.map(|(with, without)| with - without).collect()
    };
    let noise = interval(&less(6, 0)).value;
    let figure = |name: &str, readings: &[f64]| Figure {
        control: Some(noise),
        ..Figure::own(name, "instructions", interval(readings))
    };
    Ok(vec![
        figure("memory_extra_instr", &less(1, 0)),
        figure("memory_extra_instr_counting", &less(3, 2)),
        figure("counting_alloc_instr", &less(5, 4)),
    ])
}

/// Requests a CPU second of a server whose route makes 1,000 small allocations, with layer and counting over without either; and the time of
/// one reading of the resident set size.
fn times(plain: &Peers<'_>, counting: &Peers<'_>) -> Result<Vec<Figure>> {
    let heavy = |program: &'static str, layer: &'static str| -> Reading<'_, Error> {
        let program = if program == "plain" { plain } else { counting };
        Box::new(move || program.number(&["heavy", layer, HEAVY_REQUESTS]))
    };
    let read = rounds(
        12,
        &mut [
            heavy("counting", "memory"),
            heavy("plain", "none"),
            heavy("plain", "none"),
        ],
    )?;
    let ratio = Figure {
        control: Some(interval(&quotients(&read[2], &read[1])).value),
        ours: Some(interval(&read[0]).value),
        peer: Some(interval(&read[1]).value),
        ..Figure::own(
            "counting_rps_ratio",
            "ratio",
            interval(&quotients(&read[0], &read[1])),
        )
    };
    let rss = (0..ROUNDS)
        .map(|_| plain.number(&["rss", RSS_READINGS]))
        .collect::<Result<Vec<_>>>()?;
    Ok(vec![
        ratio,
        Figure::own("rss_sample_us", "us", interval(&rss)),
    ])
}

/// How the leak verdict does on the held-out corpus. Repeats exactly: its seeds are fixed.
fn verdicts(plain: &Peers<'_>) -> Result<Vec<Figure>> {
    let read = plain.read(&["leaks"])?;
    let figure = |at: usize, name: &str| {
        let value = read.get(at).copied().unwrap_or(f64::NAN);
        Figure::own(name, "%", interval(&[value]))
    };
    Ok(vec![
        figure(0, "leak_precision_pct"),
        figure(1, "leak_recall_pct"),
        figure(2, "leak_ever_false_pct"),
    ])
}
