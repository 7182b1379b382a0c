//! [`Code`]: one status code of a series, as its cells tell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{
    buckets,
    figures::Sums,
    histogram::Histogram,
    recorder::{
        cell::{BODY_END, FIRST_BYTE},
        reading::{Place, Reader, Reading, Summed, bucket_of},
        registry::SeriesId,
    },
    tally::SumsTally,
};
use super::PATIENCE;

/// The upper bounds of the classic histogram, in seconds: OpenTelemetry's semantic conventions for
/// `http.server.request.duration`.
pub(crate) const LE: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What the outputs that want status codes tell of one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CodeSums {
    pub(crate) code: u16,
    pub(crate) count: u64,
    pub(crate) nanos: u64,
    /// Requests by the classic bucket that they fall in, not cumulative; what is above the last is in `count` alone.
    pub(crate) le: [u64; LE.len()],
}

/// The cells of one (route, method, class, code), one a thread.
#[derive(Debug)]
pub(crate) struct Code {
    /// Its series' number.
    pub(crate) series: usize,
    /// Whether objectives judge them by their head.
    pub(crate) is_by_head: bool,
    pub(crate) readers: Vec<Reader>,
    pub(crate) sums: CodeSums,
    /// What all cells together held at the last fold, ascending. Wraps as they do. The first chunk at a place takes the room for it.
    seen: Vec<(Place, u32)>,
    /// How often a count has wrapped; as a rule none has.
    wraps: BTreeMap<Place, u32>,
    seen_sums: Summed,
    left_out: u32,
}

impl Code {
    pub(crate) fn new(series: usize, id: SeriesId) -> Self {
        Self {
            series,
            is_by_head: id.is_by_head(),
            readers: Vec::new(),
            sums: CodeSums {
                code: id.code(),
                ..CodeSums::default()
            },
            seen: Vec::new(),
            wraps: BTreeMap::new(),
            seen_sums: Summed::NOTHING,
            left_out: 0,
        }
    }

    /// Counts in coarse buckets, ever.
    pub(crate) fn coarse(&self) -> u64 {
        self.seen_sums.coarse
    }

    /// Adds what was folded since the start, both histograms.
    pub(crate) fn add_total(&self, tally: &mut SumsTally) {
        for (place, count) in &self.seen {
            let (histogram, bucket) = bucket_of(*place);
            let wraps = self.wraps.get(place).copied().unwrap_or(0);
            let count = u64::from(wraps) << 32 | u64::from(*count);
            tally.add_bucket(histogram == BODY_END, bucket, count);
        }
    }

    /// What has ended since the last fold, and when the last of it did. `bounds`: the least and greatest time that the series had
    /// before.
    pub(crate) fn difference(
        &mut self,
        reading: &mut Reading,
        bounds: (u64, u64),
    ) -> Option<(u64, Sums)> {
        if !self.readers.iter().any(Reader::is_new) {
            return None;
        }
        let at_any_price = self.left_out >= PATIENCE;
        let whole = self
            .readers
            .iter_mut()
            .all(|reader| reader.read(reading, at_any_price));
        if !whole {
            reading.drain();
            self.left_out += 1;
            // The cell that could not be read stays new, so all of them are read again.
            return None;
        }
        self.left_out = 0;
        let now = *reading.sums();
        let mut counts = reading.drain();
        counts.shrink_to_fit();
        let mut grown: [Vec<(usize, u64)>; 2] = Default::default();
        let mut seen = self.seen.iter().copied().peekable();
        for (place, count) in &counts {
            // A count that has wrapped to 0 is not there now.
            while seen.next_if(|(known, _)| known < place).is_some() {}
            let before = seen.next_if(|(known, _)| known == place);
            let before = before.map_or(0, |(_, count)| count);
            let more = count.wrapping_sub(before);
            if more != 0 {
                let (histogram, bucket) = bucket_of(*place);
                grown[histogram].push((bucket, u64::from(more)));
            }
            if *count < before {
                *self.wraps.entry(*place).or_default() += 1;
            }
        }
        let old = self.seen_sums;
        self.seen = counts;
        self.seen_sums = now;
        let body_end = Histogram::from_counts(grown[BODY_END].iter().copied());
        let first_byte = Histogram::from_counts(grown[FIRST_BYTE].iter().copied());
        if body_end.is_empty() {
            return None;
        }
        let (min_nanos, max_nanos) = self.bounds(&body_end, &now, bounds);
        let sums = Sums {
            body_end_nanos: now.body_end.wrapping_sub(old.body_end),
            first_byte_nanos: now.first_byte.wrapping_sub(old.first_byte),
            request_bytes: now.request_bytes.wrapping_sub(old.request_bytes),
            response_bytes: now.response_bytes.wrapping_sub(old.response_bytes),
            min_nanos,
            max_nanos,
            body_end,
            first_byte,
            errors: 0,
            aborted: 0,
        };
        self.count(&sums);
        Some((now.last, sums))
    }

    /// The least and greatest time in a difference: exact where it is the least or greatest ever, else its bucket's edge.
    fn bounds(&self, grown: &Histogram, now: &Summed, before: (u64, u64)) -> (u64, u64) {
        let is_first = self.sums.count == 0;
        let first = grown.counts().next().map_or(0, |(bucket, _)| bucket);
        let last = grown.counts().last().map_or(0, |(bucket, _)| bucket);
        let min = if is_first || now.min < before.0 {
            now.min
        } else {
            (buckets::low_units(first) * buckets::UNIT_NANOS).max(now.min)
        };
        let max = if is_first || now.max > before.1 {
            now.max
        } else {
            ((buckets::high_units(last) + 1) * buckets::UNIT_NANOS - 1).min(now.max)
        };
        (min, max)
    }

    fn count(&mut self, sums: &Sums) {
        self.sums.count += sums.count();
        self.sums.nanos = self.sums.nanos.saturating_add(sums.body_end_nanos);
        for (sum, more) in self.sums.le.iter_mut().zip(classic(&sums.body_end)) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// A histogram by the classic buckets, not cumulative. The bucket that a bound falls in counts below it: it is 1/128 of it wide.
pub(crate) fn classic(histogram: &Histogram) -> [u64; LE.len()] {
    let mut counts = [0; LE.len()];
    for (bucket, count) in histogram.counts() {
        let low = buckets::low(bucket).as_secs_f64();
        if let Some(place) = LE.iter().position(|le| low <= *le) {
            counts[place] += count;
        }
    }
    counts
}
