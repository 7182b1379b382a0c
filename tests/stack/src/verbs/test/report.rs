//! What ran, what did not, and the last line.

use std::fmt::Write as _;

use super::libtest::{Outcome, Test};

/// A test that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    pub(super) test: String,
    pub(super) reason: String,
    /// It cannot be had at all: no failure under `--strict`.
    pub(super) allowed: bool,
}

/// The count of a whole run.
#[derive(Debug)]
pub(super) struct Report {
    strict: bool,
    passed: Vec<String>,
    failed: Vec<String>,
    skipped: Vec<Skip>,
    /// Failed beside the others, passed alone: no failure, and never silent.
    unsteady: Vec<String>,
    times: Vec<(String, f64)>,
}

impl Report {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            strict,
            passed: Vec::new(),
            failed: Vec::new(),
            skipped: Vec::new(),
            unsteady: Vec::new(),
            times: Vec::new(),
        }
    }

    /// How long a step took.
    pub(super) fn took(&mut self, step: &str, seconds: f64) {
        self.times.push((step.to_owned(), seconds));
    }

    /// A step that is one check.
    pub(super) fn check(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed.push(name.to_owned())
        } else {
            self.failed.push(name.to_owned())
        }
    }

    /// A failure with more to say.
    pub(super) fn fail(&mut self, name: String) {
        self.failed.push(name);
    }

    /// A run of tests. libtest counts a test that was skipped by `require!` as passed: `skips` tells which.
    pub(super) fn tests(&mut self, tests: &[Test], skips: &[Skip]) {
        for test in tests {
            let skip = skips.iter().find(|skip| skip.test == test.name);
            match (test.outcome, skip) {
                (Outcome::Failed, _) => self.failed.push(test.name.clone()),
                (_, Some(skip)) => self.skipped.push(skip.clone()),
                (Outcome::Passed, None) => self.passed.push(test.name.clone()),
                (Outcome::Ignored, None) => self.skipped.push(Skip {
                    test: test.name.clone(),
                    reason: "marked #[ignore]".into(),
                    allowed: false,
                }),
            }
        }
        // A skip whose test cannot be told (it ran on a thread of its own) is counted all the same.
        for skip in skips {
            if !tests.iter().any(|test| test.name == skip.test) {
                self.skipped.push(skip.clone());
            }
        }
    }

    /// A test that failed has passed when it ran again with nothing beside it.
    pub(super) fn passed_alone(&mut self, name: &str) {
        self.failed.retain(|failed| failed != name);
        self.passed.push(name.to_owned());
        self.unsteady.push(name.to_owned());
    }

    /// Whether a test of that name ran and passed.
    pub(super) fn has_passed(&self, name: &str) -> bool {
        self.passed.iter().any(|passed| passed == name)
    }

    /// Whether it was skipped for a reason that nobody can mend.
    pub(super) fn is_excused(&self, name: &str) -> bool {
        self.skipped
            .iter()
            .any(|skip| skip.test == name && (skip.allowed || !self.strict))
    }

    pub(super) fn is_green(&self) -> bool {
        self.failures() == 0 && !self.passed.is_empty()
    }

    /// Under `--strict` a skip that could have been had is a failure too.
    fn failures(&self) -> usize {
        self.failed.len()
            + if self.strict {
                self.skipped.iter().filter(|skip| !skip.allowed).count()
            } else {
                0
            }
    }

    pub(super) fn summary(&self) -> String {
        let mut text = String::from("\n");
        // Writing to a String cannot fail.
        for (step, seconds) in &self.times {
            let _ = writeln!(text, "{seconds:8.1} s  {step}");
        }
        for skip in &self.skipped {
            let word = if self.strict && !skip.allowed {
                "FAILED (skipped)"
            } else {
                "skipped"
            };
            let _ = writeln!(text, "{word}: {}: {}", skip.test, skip.reason);
        }
        for name in &self.unsteady {
            let _ = writeln!(
                text,
                "UNSTEADY: {name}: failed beside the other tests (its output is above), passed alone"
            );
        }
        for name in &self.failed {
            let _ = writeln!(text, "FAILED: {name}");
        }
        if self.passed.is_empty() && self.failures() == 0 {
            let _ = writeln!(text, "nothing ran: does the filter name a test?");
        }
        let failures = self.failures();
        let skipped = self.skipped.len() - (failures - self.failed.len());
        let _ = write!(
            text,
            "\n{} passed, {failures} failed, {skipped} skipped",
            self.passed.len()
        );
        if !self.unsteady.is_empty() {
            let _ = write!(text, ", {} unsteady", self.unsteady.len());
        }
        text.push('\n');
        text
    }
}

/// The lines that `pitcrew_stack::testing` wrote: test, reason, `yes` where it is allowed, by tabs.
pub(super) fn read_skips(text: &str) -> Vec<Skip> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some(Skip {
                test: fields.next()?.to_owned(),
                reason: fields.next()?.to_owned(),
                allowed: fields.next() == Some("yes"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(strict: bool) -> Report {
        let mut report = Report::new(strict);
        let test = |name: &str, outcome| Test {
            name: name.into(),
            outcome,
        };
        let tests = [
            test("a::ok", Outcome::Passed),
            test("a::left_out", Outcome::Passed),
            test("a::cannot", Outcome::Passed),
        ];
        report.tests(
            &tests,
            &read_skips("a::left_out\tno stack\tno\na::cannot\tno contrib\tyes\n"),
        );
        report.check("fmt", true);
        report
    }

    #[test]
    fn a_skip_counts_as_a_skip_and_fails_under_strict_unless_it_cannot_be_had() {
        let lenient = filled(false);
        assert!(
            lenient
                .summary()
                .ends_with("\n2 passed, 0 failed, 2 skipped\n"),
            "{}",
            lenient.summary()
        );
        assert!(lenient.is_green());
        let strict = filled(true);
        assert!(
            strict
                .summary()
                .ends_with("\n2 passed, 1 failed, 1 skipped\n"),
            "{}",
            strict.summary()
        );
        assert!(strict.summary().contains("a::left_out: no stack"));
        assert!(!strict.is_green());
        assert!(strict.has_passed("a::ok") && !strict.has_passed("a::left_out"));
        assert!(strict.is_excused("a::cannot") && !strict.is_excused("a::left_out"));
    }

    #[test]
    fn what_passes_alone_is_no_failure_and_is_told() {
        let mut report = filled(false);
        report.fail("a::shaken".into());
        report.fail("a::broken".into());
        report.passed_alone("a::shaken");
        let summary = report.summary();
        assert!(summary.contains("UNSTEADY: a::shaken: "), "{summary}");
        assert!(
            summary.ends_with("\n3 passed, 1 failed, 2 skipped, 1 unsteady\n"),
            "{summary}"
        );
        assert!(!report.is_green());
    }

    #[test]
    fn a_run_of_nothing_is_not_green() {
        assert!(!Report::new(false).is_green());
    }
}
