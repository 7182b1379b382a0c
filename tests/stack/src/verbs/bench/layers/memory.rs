//! The memory layer, without and with the counting allocator: two programs that differ in their allocator alone.

use std::path::PathBuf;
use std::process::Command;

use pitcrew_stack::bench::{Figure, ROUNDS, Reading, interval, quotients, rounds};
use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Result, checkout};

use super::super::super::child;
use super::skipped;

/// Calls that callgrind counts. The same number again is taken away, so that what comes before them drops out.
const COUNTED_CALLS: usize = 4_096;

/// Heavy requests of a reading.
const HEAVY_REQUESTS: &str = "20000";

/// Readings of the resident set size of one reading.
const RSS_READINGS: &str = "100000";

/// One of the two programs.
struct Program<'a> {
    path: PathBuf,
    signals: &'a Signals,
}

pub(super) fn figures(signals: &Signals) -> Result<Vec<Figure>> {
    let folder = checkout().join("tests/memory-cost");
    let target = child::target_dir(&checkout()).join("memory-cost");
    let mut build = child::cargo(&folder, &["build", "--release", "--locked", "--target-dir"]);
    build.arg(&target);
    let status = child::foreground(build, signals)?;
    signals.check()?;
    if !status.success() {
        return Err(Error::Program {
            program: format!("cargo build in {}", folder.display()),
            detail: status.to_string(),
        });
    }
    let program = |name: &str| Program {
        path: target.join("release").join(name),
        signals,
    };
    let (plain, counting) = (program("plain"), program("counting"));
    let mut figures = instructions(&plain, &counting)?;
    figures.extend(times(&plain, &counting)?);
    figures.extend(verdicts(&plain)?);
    Ok(figures)
}

/// Instructions that the layer adds to a no-op wrapper, and that counting adds to an allocation with its release.
fn instructions(plain: &Program<'_>, counting: &Program<'_>) -> Result<Vec<Figure>> {
    if find_program("valgrind").is_none() {
        skipped(
            "memory_extra_instr and its like",
            "valgrind is not installed",
        );
        return Ok(Vec::new());
    }
    let count = |program: &'static str, words: &'static [&'static str]| -> Reading<'_, Error> {
        let program = if program == "plain" { plain } else { counting };
        Box::new(move || program.instructions(words))
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
fn times(plain: &Program<'_>, counting: &Program<'_>) -> Result<Vec<Figure>> {
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
fn verdicts(plain: &Program<'_>) -> Result<Vec<Figure>> {
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

impl Program<'_> {
    fn read(&self, words: &[&str]) -> Result<Vec<f64>> {
        self.signals.check()?;
        let mut command = Command::new(&self.path);
        command.args(words);
        let (answer, _) = output_of(&mut command)?;
        let numbers: Option<Vec<f64>> = answer
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect();
        numbers.ok_or_else(|| self.fault(words, &answer))
    }

    fn number(&self, words: &[&str]) -> Result<f64> {
        match self.read(words)?.as_slice() {
            [number] => Ok(*number),
            other => Err(self.fault(words, &format!("{other:?}"))),
        }
    }

    /// Instructions of one call of a measurement whose last argument is how many are made.
    fn instructions(&self, words: &[&str]) -> Result<f64> {
        let counted = |calls: usize| -> Result<f64> {
            self.signals.check()?;
            let mut command = Command::new("valgrind");
            command
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(&self.path)
                .args(words)
                .arg(calls.to_string());
            let (_, said) = output_of(&mut command)?;
            said.lines()
                .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
                .ok_or_else(|| self.fault(words, &said))
        };
        let (once, twice) = (counted(COUNTED_CALLS)?, counted(2 * COUNTED_CALLS)?);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        Ok((twice - once) / COUNTED_CALLS as f64)
    }

    fn fault(&self, words: &[&str], answer: &str) -> Error {
        Error::Program {
            program: format!("{} {}", self.path.display(), words.join(" ")),
            detail: format!("answered {answer}"),
        }
    }
}
