//! The log of HdrHistogram's own tools.

use std::{io, time::Duration};

use hdrhistogram::{
    Histogram as Hdr,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};

use super::{
    histogram::{Histogram, nanos},
    snapshot::LatencySnapshot,
    window::Window,
};

/// Figures of the exported histograms: three, so that a second rounding adds a tenth of the first.
const FIGURES: u8 = 3;

impl LatencySnapshot {
    /// Writes the times to the end of the body since the start as an HdrHistogram interval log (V2, compressed), which HistogramLogAnalyzer,
    /// HistogramLogProcessor and the libraries of all languages read: one line a series, tagged `route method class`
    /// with `_` for spaces and commas. Values are nanoseconds.
    ///
    /// # Errors
    ///
    /// What `out` answers.
    pub fn write_hdr_log(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut serializer = V2DeflateSerializer::new();
        let taken = Duration::from_millis(self.taken_unix_ms);
        let uptime = Duration::try_from_secs_f64(self.uptime_s).unwrap_or_default();
        let start = std::time::UNIX_EPOCH + taken.saturating_sub(uptime);
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("pitcrew: time to the end of the response body, in nanoseconds")
            .with_start_time(start)
            .with_max_value_divisor(1_000_000.0)
            .begin_log_with(out, &mut serializer)?;
        for series in &self.series {
            let tag = format!("{} {} {}", series.route, series.method, series.status_class);
            let tag: String = tag
                .chars()
                .map(|c| {
                    if c == ',' || c.is_whitespace() || c.is_control() {
                        '_'
                    } else {
                        c
                    }
                })
                .collect();
            let histogram = hdr(series.histogram(Window::SinceStart));
            log.write_histogram(&histogram, Duration::ZERO, uptime, Tag::new(&tag))
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        Ok(())
    }
}

fn hdr(histogram: &Histogram) -> Hdr<u64> {
    // Bounds and figures are constants that the library takes.
    let mut hdr = match Hdr::new(FIGURES) {
        Ok(hdr) => hdr,
        Err(error) => unreachable!("{FIGURES} figures: {error}"),
    };
    hdr.auto(true);
    for bucket in histogram.iter() {
        // Grows as far as an hour, which is far from what it can hold.
        let _ = hdr.record_n(nanos(bucket.high), bucket.count);
    }
    hdr
}
