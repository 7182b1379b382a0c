//! Results as JUnit XML: each threshold is a test case, so that CI shows which one broke.

use std::fmt::Write as _;

use super::results::Results;
use super::text::escaped;

impl Results {
    /// As JUnit XML. Beside the thresholds there is a case for the tester, which is in error where it was late or the run was
    /// interrupted, as nothing can be said of the target then.
    #[must_use]
    pub fn junit(&self) -> String {
        let verdicts = self.verdicts();
        let broken = verdicts.iter().filter(|verdict| !verdict.holds).count();
        let error = self.error();
        let seconds = self.report.elapsed_s;
        let counts = format!(
            "tests=\"{}\" failures=\"{broken}\" errors=\"{}\" time=\"{seconds:.3}\"",
            verdicts.len() + 1,
            u8::from(error.is_some())
        );
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pitcrew-load\" {counts}>\n\
             <testsuite name=\"load test of {}\" skipped=\"0\" {counts}>\n",
            escaped(&self.target)
        );
        // Writing to a String cannot fail.
        for verdict in verdicts {
            let name = escaped(&verdict.threshold.to_string());
            let _ = write!(
                text,
                "<testcase classname=\"thresholds\" name=\"{name}\" time=\"{seconds:.3}\""
            );
            if verdict.holds {
                text.push_str("/>\n");
            } else {
                let _ = writeln!(
                    text,
                    "><failure type=\"threshold\" message=\"{}\">{}</failure></testcase>",
                    escaped(&verdict.measured_text()),
                    escaped(&self.summary())
                );
            }
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

    fn error(&self) -> Option<String> {
        let is_interrupted = self.report.cancelled && self.stopped_by.is_none();
        (self.limited().is_some() || is_interrupted)
            .then(|| self.warnings().into_iter().next())
            .flatten()
    }
}
