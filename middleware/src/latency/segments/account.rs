//! What is summed up of a route's requests.

use super::timeline::Timeline;
#[cfg(feature = "statements")]
use crate::latency::statements::StatementSums;

/// The sums of one kind of segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: u8,
    /// Requests with such a segment.
    pub(crate) requests: u64,
    /// Such segments.
    pub(crate) segments: u64,
    /// Exclusive time, in nanoseconds.
    pub(crate) nanos: u64,
    /// The largest part of one request.
    pub(crate) max_nanos: u64,
}

/// The sums of requests that had a segment, or a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) requests: u64,
    /// From the call to the end of the body, in nanoseconds.
    pub(crate) nanos: u64,
    pub(crate) max_nanos: u64,
    /// Kinds that were met, one row each.
    pub(crate) parts: Vec<Part>,
    /// Segments that were not measured: too many were open.
    pub(crate) unmeasured: u64,
    #[cfg(feature = "statements")]
    pub(crate) statements: StatementSums,
}

impl Account {
    /// Counts one request that took `took` nanoseconds. Its parts are never more than its whole.
    pub(crate) fn count(&mut self, timeline: &Timeline, took: u64, repeated_times: u32) {
        let measured: u64 = timeline.nanos.iter().sum();
        let took = took.max(measured);
        self.requests += 1;
        self.nanos = self.nanos.saturating_add(took);
        self.max_nanos = self.max_nanos.max(took);
        self.unmeasured += u64::from(timeline.unmeasured);
        let figures = timeline.segments.iter().zip(timeline.nanos);
        for (kind, (segments, nanos)) in figures.enumerate() {
            if *segments > 0 {
                let part = self.part(kind as u8);
                part.requests += 1;
                part.segments += u64::from(*segments);
                part.nanos = part.nanos.saturating_add(nanos);
                part.max_nanos = part.max_nanos.max(nanos);
            }
        }
        #[cfg(feature = "statements")]
        self.statements.count(&timeline.statements, repeated_times);
        #[cfg(not(feature = "statements"))]
        let _ = repeated_times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.max_nanos = self.max_nanos.max(other.max_nanos);
        self.unmeasured += other.unmeasured;
        for theirs in &other.parts {
            let part = self.part(theirs.kind);
            part.requests += theirs.requests;
            part.segments += theirs.segments;
            part.nanos = part.nanos.saturating_add(theirs.nanos);
            part.max_nanos = part.max_nanos.max(theirs.max_nanos);
        }
        #[cfg(feature = "statements")]
        self.statements.add(&other.statements);
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.parts.capacity() * size_of::<Part>();
        #[cfg(feature = "statements")]
        let repeats = self.statements.bytes();
        #[cfg(not(feature = "statements"))]
        let repeats = 0;
        size_of::<(u64, Self)>() + parts + repeats
    }

    /// Back to nothing; what was allocated is kept.
    pub(crate) fn clear(&mut self) {
        let mut parts = std::mem::take(&mut self.parts);
        parts.clear();
        #[cfg(feature = "statements")]
        let statements = {
            self.statements.clear();
            std::mem::take(&mut self.statements)
        };
        *self = Self {
            parts,
            #[cfg(feature = "statements")]
            statements,
            ..Self::default()
        };
    }

    fn part(&mut self, kind: u8) -> &mut Part {
        let at = match self.parts.iter().position(|part| part.kind == kind) {
            Some(at) => at,
            None => {
                self.parts.push(Part {
                    kind,
                    ..Part::default()
                });
                self.parts.len() - 1
            }
        };
        &mut self.parts[at]
    }
}
