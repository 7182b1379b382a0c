//! Exemplars: the slowest requests themselves.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    recorder::{
        cell::Measured,
        registry::{NO_CODE, SeriesId},
    },
    sync::{AtomicU64, Mutex, Ordering, lock},
    trace::TraceId,
    window::Window,
};

/// Slowest requests that are told of a route and window unless told otherwise.
pub const DEFAULT_EXEMPLARS: usize = 8;

/// Slowest requests that may be told of a route and window at most.
pub const MAX_EXEMPLARS: usize = 32;

/// Requests that are kept of a route at most: of these the slowest of every window are told.
pub const MAX_KEPT_EXEMPLARS: usize = 96;

/// One of the slowest requests. It has no path, query string or header value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exemplar {
    /// When it ended, in milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// Milliseconds from the call of the service to the end of the response body.
    pub took_ms: f64,
    /// Milliseconds to the response's head; none where there was no head.
    pub first_byte_ms: Option<f64>,
    /// Request method, as in a series.
    pub method: String,
    /// [`StatusClass::as_str`](super::StatusClass::as_str).
    pub status_class: String,
    /// Status code; none where it was aborted or failed.
    pub status_code: Option<u16>,
    /// The trace id of its `traceparent` header (W3C Trace Context, 3.2.2.3), 32 hexadecimal digits; none where there was none
    /// that is valid.
    pub trace_id: Option<String>,
    /// Bytes of its body, as in [`Figures`](super::Figures::request_bytes).
    pub request_bytes: u64,
    /// Bytes of the response's body that were read.
    pub response_bytes: u64,
}

/// What a thread keeps of a slow request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: SeriesId,
    pub(crate) trace: TraceId,
    pub(crate) measured: Measured,
}

/// The slowest requests of one route on one thread since the last fold.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// A request that takes longer is among the slowest.
    threshold: AtomicU64,
    slowest: Mutex<Vec<Candidate>>,
    /// Those that met the lock, since the last fold.
    missed: AtomicU64,
}

impl Candidates {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            threshold: AtomicU64::new(if count == 0 { u64::MAX } else { 0 }),
            slowest: Mutex::default(),
            missed: AtomicU64::new(0),
        }
    }

    /// All that the usual request pays.
    #[inline]
    pub(crate) fn is_slow(&self, took: u64) -> bool {
        took > self.threshold.load(Ordering::Relaxed)
    }

    /// Keeps it in place of the fastest. Whoever folds may be looking just now: then it is not waited for, and the candidate is
    /// left out and counted; the next one of its kind is not.
    #[cold]
    pub(crate) fn offer(&self, candidate: Candidate, count: usize) {
        let Ok(mut slowest) = self.slowest.try_lock() else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let took = |one: &Candidate| one.measured.body_end;
        if slowest.len() >= count {
            let fastest = slowest.iter_mut().min_by_key(|one| took(one));
            if let Some(fastest) = fastest.filter(|fastest| took(fastest) < took(&candidate)) {
                *fastest = candidate;
            }
        } else {
            if slowest.capacity() == 0 {
                slowest.reserve_exact(count);
            }
            slowest.push(candidate);
        }
        if slowest.len() >= count {
            let threshold = slowest.iter().map(took).min().unwrap_or(0);
            self.threshold.store(threshold, Ordering::Relaxed);
        }
    }

    /// Whoever folds takes them all, and each thread begins anew. How many were left out meanwhile.
    pub(crate) fn take(&self, into: &mut Vec<Candidate>) -> u64 {
        let mut slowest = lock(&self.slowest);
        if !slowest.is_empty() {
            into.append(&mut slowest);
            self.threshold.store(0, Ordering::Relaxed);
        }
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// A slow request of some thread's, with its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// When it ended, since the layer was built.
    pub(crate) at: Duration,
    pub(crate) unix_ms: u64,
    pub(crate) candidate: Candidate,
}

impl Kept {
    fn took(&self) -> u64 {
        self.candidate.measured.body_end
    }
}

/// The slowest requests of one route: of any window that ends now, and of any that will end later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slowest {
    /// In the order of their ends.
    kept: Vec<Kept>,
}

impl Slowest {
    /// Takes in what has ended. How many had to go though a window might still have told them.
    pub(crate) fn add(&mut self, new: impl IntoIterator<Item = Kept>, count: usize) -> u64 {
        self.kept.extend(new);
        self.kept.sort_by_key(|one| one.at);
        // Of use while fewer than `count` are both younger and slower: every window that has it has those as well.
        let mut slower: Vec<u64> = Vec::with_capacity(count + 1);
        let mut kept = Vec::with_capacity(self.kept.len());
        for one in self.kept.drain(..).rev() {
            let place = slower.partition_point(|other| *other > one.took());
            if place < count {
                slower.insert(place, one.took());
                slower.truncate(count);
                kept.push(one);
            }
        }
        kept.reverse();
        let mut dropped = 0;
        while kept.len() > MAX_KEPT_EXEMPLARS {
            // The fastest of the younger half: a later window misses it the least.
            let young = kept.len() / 2..kept.len();
            let fastest = young.min_by_key(|place| kept[*place].took());
            kept.remove(fastest.unwrap_or(0));
            dropped += 1;
        }
        kept.shrink_to_fit();
        self.kept = kept;
        dropped
    }

    /// The slowest `count` of a window, the slowest first.
    pub(crate) fn of(&self, window: Window, now: Duration, count: usize) -> Vec<Exemplar> {
        let since = window.length().map(|length| now.saturating_sub(length));
        let within = |one: &&Kept| since.is_none_or(|since| one.at >= since);
        let mut found: Vec<&Kept> = self.kept.iter().filter(within).collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.took()));
        found.truncate(count);
        found
            .into_iter()
            .map(|one| one.candidate.told(one.unix_ms))
            .collect()
    }

    /// Lets the older half go. How many that were.
    pub(crate) fn forget(&mut self) -> u64 {
        let half = self.kept.len().div_ceil(2);
        self.kept.drain(..half);
        self.kept.shrink_to_fit();
        half as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.kept.capacity() * size_of::<Kept>()
    }
}

/// The slowest requests of a route in a snapshot: told when they are asked for, or as another instance told them.
#[derive(Debug, Default)]
pub(crate) struct Told {
    source: Option<(Arc<Slowest>, Duration, usize)>,
    windows: [OnceLock<Vec<Exemplar>>; Window::ALL.len()],
}

impl Told {
    pub(crate) fn new(slowest: Arc<Slowest>, now: Duration, count: usize) -> Self {
        Self {
            source: Some((slowest, now, count)),
            windows: Default::default(),
        }
    }

    pub(crate) fn of(&self, window: Window) -> &[Exemplar] {
        self.windows[window as usize].get_or_init(|| match &self.source {
            Some((slowest, now, count)) => slowest.of(window, *now, *count),
            None => Vec::new(),
        })
    }

    pub(crate) fn all(&self) -> [Vec<Exemplar>; Window::ALL.len()] {
        Window::ALL.map(|window| self.of(window).to_vec())
    }
}

impl From<[Vec<Exemplar>; Window::ALL.len()]> for Told {
    fn from(windows: [Vec<Exemplar>; Window::ALL.len()]) -> Self {
        Self {
            source: None,
            windows: windows.map(OnceLock::from),
        }
    }
}

impl Candidate {
    /// For who reads, ended at `unix_ms`.
    fn told(&self, unix_ms: u64) -> Exemplar {
        let measured = &self.measured;
        let has_head = measured.first_byte != super::recorder::cell::NO_HEAD;
        Exemplar {
            unix_ms,
            took_ms: super::figures::ms(measured.body_end),
            first_byte_ms: has_head.then(|| super::figures::ms(measured.first_byte)),
            method: self.id.method.as_str().to_owned(),
            status_class: self.id.class.as_str().to_owned(),
            status_code: (self.id.code() != NO_CODE).then_some(self.id.code()),
            trace_id: self.trace.text(),
            request_bytes: measured.request_bytes,
            response_bytes: measured.response_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{class::StatusClass, recorder::registry::Method},
        *,
    };

    fn one(second: u64, took: u64) -> Kept {
        let id = SeriesId {
            code: 200,
            class: StatusClass::Successful,
            method: Method::HEAD,
        };
        let measured = Measured {
            body_end: took * 1_000_000,
            first_byte: 0,
            request_bytes: 0,
            response_bytes: 0,
            at: 0,
        };
        Kept {
            at: Duration::from_secs(second),
            unix_ms: second * 1_000,
            candidate: Candidate {
                id,
                trace: TraceId::default(),
                measured,
            },
        }
    }

    #[test]
    fn the_slowest_of_every_window_are_those_of_all_requests_in_it() {
        let (mut slowest, mut all, mut state) = (Slowest::default(), Vec::new(), 1_u64);
        for second in 0..8_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let took = state >> 40;
            all.push((second, took as f64));
            let dropped = slowest.add([one(second, took)], 8);
            assert_eq!(dropped, 0, "the bound is not met");
            if second % 97 != 0 {
                continue;
            }
            let now = Duration::from_secs(second);
            for window in Window::ALL {
                let length = window.length().map_or(u64::MAX, |length| length.as_secs());
                let mut expected: Vec<f64> = all
                    .iter()
                    .filter(|(at, _)| second - at <= length)
                    .map(|(_, took)| *took)
                    .collect();
                expected.sort_by(|a, b| b.total_cmp(a));
                expected.truncate(8);
                let told = slowest.of(window, now, 8);
                let told: Vec<f64> = told.iter().map(|one| one.took_ms).collect();
                assert_eq!(told, expected, "{window} at {second}");
            }
        }
    }

    #[test]
    fn requests_that_grow_ever_faster_are_bounded_too() {
        let mut slowest = Slowest::default();
        let dropped: u64 = (0..1_000)
            .map(|n| slowest.add([one(n, 2_000 - n)], 8))
            .sum();
        assert_eq!(slowest.kept.len(), MAX_KEPT_EXEMPLARS);
        assert_eq!(dropped, 1_000 - MAX_KEPT_EXEMPLARS as u64);
        let slow = slowest.of(Window::SinceStart, Duration::from_secs(1_000), 8);
        assert_eq!(slow[0].took_ms, 2_000.0);
    }
}
