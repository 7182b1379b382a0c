//! Results as an HDR log, which `HistogramLogAnalyzer` and `HistogramLogProcessor` read.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::results::Results;

impl Results {
    /// As a log in HDR's format V1.3: a line for each second with its response times, then one each with the tags `service`,
    /// `failed` and `lag` for the whole run; then of each scenario, where there are several, a line for each second with its name as
    /// the tag. Values are microseconds; the highest of a line is in milliseconds.
    #[must_use]
    pub fn hdr_log(&self) -> String {
        let mut bytes = Vec::new();
        // Neither memory nor a count of ours can be more than the format takes.
        let _ = self.write_hdr_log(&mut bytes);
        String::from_utf8(bytes).unwrap_or_default()
    }

    fn write_hdr_log(&self, bytes: &mut Vec<u8>) -> Option<()> {
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .with_start_time(self.began)
            .with_base_time(self.began)
            .with_max_value_divisor(1_000.0)
            .begin_log_with(bytes, &mut serializer)
            .ok()?;
        let mut line = |histogram: &Histogram<u64>, begin, length, tag: Option<&str>| {
            let times = (
                Duration::from_secs_f64(begin),
                Duration::from_secs_f64(length),
            );
            log.write_histogram(histogram, times.0, times.1, tag.and_then(Tag::new))
                .ok()
        };
        for second in &self.report.intervals {
            let begin = (second.until_s - second.duration_s).max(0.0);
            line(&second.response.unpacked(), begin, second.duration_s, None)?;
        }
        let whole = &self.report.histograms;
        for (tag, packed) in [
            ("service", &whole.service),
            ("failed", &whole.failed),
            ("lag", &whole.lag),
        ] {
            let histogram = packed.unpacked();
            if !histogram.is_empty() {
                line(&histogram, 0.0, self.report.elapsed_s, Some(tag))?;
            }
        }
        for scenario in &self.scenarios {
            for second in &scenario.report.intervals {
                let begin = scenario.start_s + (second.until_s - second.duration_s).max(0.0);
                let histogram = second.response.unpacked();
                line(&histogram, begin, second.duration_s, Some(&scenario.name))?;
            }
        }
        Some(())
    }
}
