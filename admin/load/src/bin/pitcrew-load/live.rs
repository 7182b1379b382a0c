//! What is said while a run goes on, on standard error: a view that is drawn over itself on a terminal, else a line a second.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use pitcrew_load::{Interval, Progress};

/// Seconds in the row of bars.
const BARS: usize = 60;
/// Eighths of a line, from nothing.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Nothing,
    Lines,
    Terminal,
}

pub(super) struct Live {
    way: Way,
    length_s: f64,
    /// Seconds that were told, as lines.
    told: usize,
    /// Lines of the view that stands on the terminal.
    drawn: usize,
}

impl Live {
    /// `length_s` is how long the plan sends.
    pub(super) fn new(length_s: f64, is_quiet: bool) -> Self {
        let way = if is_quiet {
            Way::Nothing
        } else if std::io::stderr().is_terminal() {
            Way::Terminal
        } else {
            Way::Lines
        };
        Self {
            way,
            length_s,
            told: 0,
            drawn: 0,
        }
    }

    pub(super) fn show(&mut self, progress: &Progress, seconds: &[Interval]) {
        match self.way {
            Way::Nothing => {}
            Way::Lines => self.lines(seconds),
            Way::Terminal => {
                let view = view(progress, seconds, self.length_s);
                let text = format!("{}{view}", self.erased());
                self.drawn = view.lines().count();
                say(&text);
            }
        }
    }

    /// The last seconds; on a terminal the view goes, for the results say it all.
    pub(super) fn end(&mut self, seconds: &[Interval]) {
        match self.way {
            Way::Nothing => {}
            Way::Lines => self.lines(seconds),
            Way::Terminal => say(&self.erased()),
        }
    }

    fn lines(&mut self, seconds: &[Interval]) {
        let text: String = seconds.iter().skip(self.told).map(line).collect();
        self.told = self.told.max(seconds.len());
        say(&text);
    }

    /// Up to where the view began, and all below it away (ECMA-48: CUU, ED).
    fn erased(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

fn say(text: &str) {
    // Who closed standard error does not want to hear it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn line(second: &Interval) -> String {
    format!(
        "{:>6.1} s {:>9.0}/s  p50 {:.3} ms  p95 {:.3} ms  p99 {:.3} ms  errors {}\n",
        second.until_s,
        second.ok as f64 / second.duration_s,
        second.p50_ms,
        second.p95_ms,
        second.p99_ms,
        second.errors
    )
}

fn view(progress: &Progress, seconds: &[Interval], length_s: f64) -> String {
    let share = (progress.elapsed_s / length_s).clamp(0.0, 1.0);
    let full = (share * 30.0) as usize;
    let mut text = format!(
        "{}{} {:.0} of {length_s:.0} s   {} answered, {} errors, {} in flight\n",
        "█".repeat(full),
        "░".repeat(30 - full),
        progress.elapsed_s,
        progress.finished,
        progress.errors,
        progress.in_flight
    );
    let Some(last) = seconds.last() else {
        return text;
    };
    text.push_str(&line(last));
    let recent = &seconds[seconds.len().saturating_sub(BARS)..];
    let rate = |second: &Interval| second.ok as f64 / second.duration_s;
    let highest = recent.iter().map(rate).fold(f64::MIN_POSITIVE, f64::max);
    let bars: String = recent
        .iter()
        .map(|second| HEIGHTS[((rate(second) / highest * 7.0).round() as usize).min(7)])
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{bars} good answers a second, {highest:.0} at most");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_before_the_first_second_is_one_line_and_never_past_its_end() {
        let progress = Progress {
            elapsed_s: 20.0,
            finished: 7,
            errors: 2,
            ..Progress::default()
        };
        let text = view(&progress, &[], 10.0);
        assert_eq!(
            text,
            format!(
                "{} 20 of 10 s   7 answered, 2 errors, 0 in flight\n",
                "█".repeat(30)
            )
        );
    }

    #[test]
    fn what_was_drawn_is_erased_by_as_many_lines() {
        let mut live = Live {
            way: Way::Terminal,
            length_s: 1.0,
            told: 0,
            drawn: 0,
        };
        assert_eq!(live.erased(), "");
        live.drawn = 3;
        assert_eq!(live.erased(), "\x1b[3A\x1b[J");
    }
}
