//! What a person sees during long steps.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Instant;

/// Whether steps are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is printed (tests).
    #[default]
    Quiet,
    /// One line a step on standard error: what begins, and how long it took.
    Print,
}

impl Progress {
    /// Runs `work` as a step.
    pub fn step<T, E>(
        self,
        what: impl Display,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self == Self::Quiet {
            return work();
        }
        // `writeln!` instead of `eprintln!`: a closed standard error must not end us in the middle of a clean-up.
        let _ = writeln!(io::stderr(), "pitcrew: {what} ...");
        let start = Instant::now();
        let result = work();
        let word = if result.is_ok() { "done" } else { "failed" };
        let _ = writeln!(
            io::stderr(),
            "pitcrew: {what}: {word} in {:.1} s",
            start.elapsed().as_secs_f64()
        );
        result
    }

    /// Says something in one line.
    pub fn say(self, what: impl Display) {
        if self == Self::Print {
            let _ = writeln!(io::stderr(), "pitcrew: {what}");
        }
    }
}
