//! What the connections of a thread saw, kept in constant memory.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::details::Details;

/// Why a request has no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection ended before the answer did.
    Reset,
    /// The answer did not end within the plan's `timeout_ms`.
    Timeout,
    /// The answer's status was 400 or above.
    Status,
    /// The answer was not of the protocol.
    Protocol,
    /// PostgreSQL answered with an error.
    Sql,
    /// The answer was not the one that the plan expects.
    Check,
}

/// Times up to an hour with three significant figures: 184 KiB a histogram, four a thread.
const HIGHEST_US: u64 = 3_600_000_000;
const SIGNIFICANT_FIGURES: u8 = 3;

/// An empty one.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_US, SIGNIFICANT_FIGURES)
        .unwrap_or_else(|_| unreachable!("the bounds are constants that hdrhistogram accepts"))
}

/// One request, from the moment it was due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When it should have been sent; in a closed model when it was.
    pub(crate) intended: Instant,
    /// How much later it was taken up than it should have been, by the fault of the tester alone; `None` of what was not due
    /// by the clock.
    pub(crate) lag: Option<Duration>,
    /// When it was sent.
    pub(crate) sent: Instant,
    /// When the answer's body, or the hope for it, ended.
    pub(crate) ended: Instant,
    pub(crate) outcome: Result<Answer, ErrorKind>,
}

/// An answer whose body has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Of protocols that have one.
    pub(crate) status: Option<u16>,
    pub(crate) body_bytes: u64,
}

impl Answer {
    /// Without a status, and nobody counts its bytes.
    pub(crate) const BARE: Self = Self {
        status: None,
        body_bytes: 0,
    };
}

#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    /// From the intended moment to the end of a good answer.
    pub(crate) response_us: Histogram<u64>,
    /// From the send to the end of a good answer.
    pub(crate) service_us: Histogram<u64>,
    /// From the intended moment to the end of what was no good answer.
    pub(crate) failed_us: Histogram<u64>,
    /// How late the tester itself was; of every request of an open model.
    pub(crate) lag_us: Histogram<u64>,
    pub(crate) ok: u64,
    pub(crate) errors: BTreeMap<ErrorKind, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) body_bytes: u64,
    /// CPU time of the run's own threads.
    pub(crate) cpu: Duration,
    /// When the last request ended.
    pub(crate) last_ended: Option<Instant>,
    pub(crate) details: Details,
    /// Of a plan with steps: each one's, as far as it was taken. What they count is also counted above.
    pub(crate) steps: Vec<Option<Box<StepRecorder>>>,
}

/// What was seen of one step.
#[derive(Debug, Clone)]
pub(crate) struct StepRecorder {
    pub(crate) recorder: Recorder,
    /// What its answers did not pass, by name: as many as the step has checks, and statuses.
    pub(crate) unmet: BTreeMap<String, u64>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            response_us: histogram(),
            service_us: histogram(),
            failed_us: histogram(),
            lag_us: histogram(),
            ok: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            body_bytes: 0,
            cpu: Duration::ZERO,
            last_ended: None,
            details: Details::default(),
            steps: Vec::new(),
        }
    }

    /// One of the steps.
    pub(crate) fn step(&mut self, number: usize) -> &mut StepRecorder {
        if self.steps.len() <= number {
            self.steps.resize_with(number + 1, || None);
        }
        self.steps[number].get_or_insert_with(|| {
            Box::new(StepRecorder {
                recorder: Self::new(),
                unmet: BTreeMap::new(),
            })
        })
    }

    /// Counts a request of a visit, for the whole and for its step. What it has to be is not the usual status alone.
    #[cfg(feature = "scripts")]
    pub(crate) fn record_step(
        &mut self,
        step: usize,
        sample: &Sample,
        unmet: Option<&crate::script::Unmet>,
        is_open: bool,
    ) {
        let verdict = Some(unmet.map_or(Ok(()), |unmet| Err(unmet.kind)));
        self.record_as(sample, verdict, is_open);
        let own = self.step(step);
        own.recorder.record_as(sample, verdict, is_open);
        if let Some(unmet) = unmet {
            *own.unmet.entry(unmet.name.clone()).or_default() += 1;
        }
    }

    /// Counts one request. Only a good answer's latency counts as one, so that fast failures flatter nobody.
    pub(crate) fn record(&mut self, sample: &Sample, is_open: bool) {
        self.record_as(sample, None, is_open);
    }

    /// Without a verdict the status decides.
    fn record_as(
        &mut self,
        sample: &Sample,
        verdict: Option<Result<(), ErrorKind>>,
        is_open: bool,
    ) {
        let outcome = sample.outcome.and_then(|answer| {
            self.body_bytes += answer.body_bytes;
            if let Some(status) = answer.status {
                // At most the 900 codes of three digits.
                *self.statuses.entry(status).or_default() += 1;
            }
            verdict.unwrap_or(match answer.status {
                Some(400..) => Err(ErrorKind::Status),
                _ => Ok(()),
            })
        });
        self.last_ended = self.last_ended.max(Some(sample.ended));
        let response = us(sample.ended - sample.intended);
        match outcome {
            Ok(()) => {
                self.ok += 1;
                self.response_us.saturating_record(response);
                if is_open {
                    self.service_us
                        .saturating_record(us(sample.ended - sample.sent));
                }
            }
            Err(kind) => {
                *self.errors.entry(kind).or_default() += 1;
                self.failed_us.saturating_record(response);
            }
        }
        if let Some(lag) = sample.lag {
            self.lag_us.saturating_record(us(lag));
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ok == 0 && self.errors.is_empty()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.merge_whole(other);
        for (number, step) in other.steps.iter().enumerate() {
            let Some(step) = step else {
                continue;
            };
            let own = self.step(number);
            own.recorder.merge_whole(&step.recorder);
            for (name, count) in &step.unmet {
                *own.unmet.entry(name.clone()).or_default() += count;
            }
        }
    }

    /// Without its steps.
    pub(crate) fn merge_whole(&mut self, other: &Self) {
        // Same bounds on both sides, so nothing can be out of range.
        for (own, others) in [
            (&mut self.response_us, &other.response_us),
            (&mut self.service_us, &other.service_us),
            (&mut self.failed_us, &other.failed_us),
            (&mut self.lag_us, &other.lag_us),
        ] {
            if !others.is_empty() {
                let _ = own.add(others);
            }
        }
        self.ok += other.ok;
        self.body_bytes += other.body_bytes;
        self.cpu += other.cpu;
        self.last_ended = self.last_ended.max(other.last_ended);
        self.details.merge(&other.details);
        for (kind, count) in &other.errors {
            *self.errors.entry(*kind).or_default() += count;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }

    pub(crate) fn clear(&mut self) {
        for histogram in [
            &mut self.response_us,
            &mut self.service_us,
            &mut self.failed_us,
            &mut self.lag_us,
        ] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
        (self.ok, self.body_bytes, self.cpu) = (0, 0, Duration::ZERO);
        self.last_ended = None;
        self.errors.clear();
        self.statuses.clear();
        self.details.clear();
        for step in self.steps.iter_mut().flatten() {
            step.recorder.clear();
            step.unmet.clear();
        }
    }
}

/// At least the one microsecond that the histograms begin with.
fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(HIGHEST_US)
        .max(1)
}
