//! Results as JUnit XML: each threshold is a test case, so that CI shows which one broke.

use std::fmt::Write as _;

use super::results::Results;
use super::text::escaped;

impl Results {
    /// As JUnit XML. Beside the thresholds there is a case for the tester, which is in error where it was late or the run was
    /// interrupted, as nothing can be said of the target then.
    #[must_use]
    pub fn junit(&self) -> String {
        let all = || std::iter::once(self).chain(&self.scenarios);
        let verdicts = all().flat_map(Self::verdicts);
        let (mut count, mut broken, mut too_short) = (0, 0, 0);
        for verdict in verdicts {
            count += 1;
            broken += usize::from(verdict.is_broken());
            too_short += usize::from(verdict.needed.is_some());
        }
        let error = self.error();
        let seconds = self.report.elapsed_s;
        let counts = format!(
            "tests=\"{}\" failures=\"{broken}\" errors=\"{}\" time=\"{seconds:.3}\"",
            count + 1,
            too_short + usize::from(error.is_some())
        );
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pitcrew-load\" {counts}>\n\
             <testsuite name=\"load test of {}\" skipped=\"0\" {counts}>\n",
            escaped(&self.target)
        );
        // Writing to a String cannot fail.
        for results in all() {
            results.cases(&mut text);
        }
        let _ = write!(
            text,
            "<testcase classname=\"tester\" name=\"the run says something of its target\" time=\"{seconds:.3}\""
        );
        match error {
            None => text.push_str("/>\n"),
            Some(message) => {
                let _ = writeln!(
                    text,
                    "><error type=\"tester\" message=\"{}\"/></testcase>",
                    escaped(&message)
                );
            }
        }
        text.push_str("</testsuite>\n</testsuites>\n");
        text
    }

    /// A case for each threshold, those of a scenario in a class of its own.
    fn cases(&self, text: &mut String) {
        let seconds = self.report.elapsed_s;
        let class = if self.name.is_empty() {
            "thresholds".to_owned()
        } else {
            format!("thresholds.{}", escaped(&self.name))
        };
        for verdict in self.verdicts() {
            let name = escaped(&verdict.threshold.to_string());
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "<testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\""
            );
            let (measured, summary) = (escaped(&verdict.measured_text()), escaped(&self.summary()));
            // What cannot be said is an error: the target did not fail, and nobody knows that it did not.
            let end = if verdict.holds {
                "/>".to_owned()
            } else if verdict.needed.is_some() {
                format!(
                    "><error type=\"too short\" message=\"{measured}\">{summary}</error></testcase>"
                )
            } else {
                format!(
                    "><failure type=\"threshold\" message=\"{measured}\">{summary}</failure></testcase>"
                )
            };
            text.push_str(&end);
            text.push('\n');
        }
    }

    fn error(&self) -> Option<String> {
        let is_interrupted = self.report.cancelled && self.stopped_by.is_none();
        (self.limited().is_some() || is_interrupted)
            .then(|| self.warnings().into_iter().next())
            .flatten()
    }
}
