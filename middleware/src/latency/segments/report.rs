//! What is told of where the time goes.

use std::sync::Arc;

use serde::Serialize;

use super::{
    account::Account,
    accounts::{Accounts, Read},
};
use crate::{latency::Window, route::OVERFLOW};

/// Where the time of requests goes, by route.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TimeReport {
    /// The window that the figures are of.
    pub window: Window,
    /// Routes with at least one request that had a segment, the largest total time first.
    pub routes: Vec<RouteTime>,
    /// Segments that were counted as [`OTHER`](super::OTHER), since the start: more than
    /// [`MAX_CUSTOM_SEGMENTS`](super::MAX_CUSTOM_SEGMENTS) names.
    pub overflowed_segments: u64,
    /// Requests that were counted under the route `overflow`, since the start.
    pub overflowed_requests: u64,
    /// Requests whose parts were lost, since the start: too many threads ended one at the same moment.
    pub dropped_requests: u64,
    /// Slots of routes' windows that went because all took [`SEGMENT_BYTES`](super::SEGMENT_BYTES), since the start: windows then lack their older part.
    pub forgotten_slots: u64,
}

/// Where the time of one route's requests goes. Parts and rest sum to the whole.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RouteTime {
    /// Route template, [`UNMATCHED`](crate::route::UNMATCHED) or [`OVERFLOW`](crate::route::OVERFLOW).
    pub route: String,
    /// Request method.
    pub method: String,
    /// Requests that had a segment or a statement; all figures are of these.
    pub requests: u64,
    /// Mean time from the call of the service to the end of the response body.
    pub mean_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The parts, the largest first.
    pub parts: Vec<PartTime>,
    /// What was in no segment: the app's own code, and waiting for what nobody measures.
    pub rest_mean_ms: f64,
    /// `rest_mean_ms / mean_ms`.
    pub rest_share: f64,
    /// Statements a request, where the client is measured (feature `statements`).
    pub statements_mean: f64,
    /// The most statements of one request.
    pub statements_max: u64,
    /// Segments that were not measured because too many were open in one request.
    pub unmeasured_segments: u64,
    /// The same in a sentence.
    pub verdict: String,
}

/// One part of a route's time.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct PartTime {
    /// The segment's name.
    pub name: &'static str,
    /// Requests that had one.
    pub requests: u64,
    /// Segments a request, over all requests of the row.
    pub segments_mean: f64,
    /// Time a request, over all requests of the row. Each instant counts once: nested segments are taken out, concurrent ones
    /// share.
    pub mean_ms: f64,
    /// The largest of one request.
    pub max_ms: f64,
    /// `mean_ms` as a share of the route's.
    pub share: f64,
}

impl TimeReport {
    /// `names` tells those of the layer's routes, by number. It is asked once the accounts are read, so that none is missing.
    pub(crate) fn of(
        accounts: &Accounts,
        names: impl FnOnce() -> Vec<Arc<str>>,
        window: Window,
    ) -> Self {
        let Read {
            mut rows,
            dropped,
            overflowed,
            forgotten,
        } = accounts.read(window);
        rows.sort_by_key(|(_, account)| std::cmp::Reverse(account.nanos));
        let names = names();
        let routes = rows.into_iter();
        Self {
            window,
            routes: routes
                .map(|((route, method), account)| {
                    RouteTime::of(accounts, name_of(&names, route), method, &account, window)
                })
                .collect(),
            overflowed_segments: accounts.names.overflowed(),
            overflowed_requests: overflowed,
            dropped_requests: dropped,
            forgotten_slots: forgotten,
        }
    }
}

impl RouteTime {
    fn of(
        accounts: &Accounts,
        route: &str,
        method: &str,
        account: &Account,
        window: Window,
    ) -> Self {
        let requests = account.requests as f64;
        let mean = |nanos: u64| nanos as f64 / requests / 1e6;
        let share = |nanos: u64| nanos as f64 / account.nanos.max(1) as f64;
        let mut measured = account.parts.clone();
        measured.sort_by_key(|part| std::cmp::Reverse(part.nanos));
        let in_parts: u64 = measured.iter().map(|part| part.nanos).sum();
        let rest = account.nanos.saturating_sub(in_parts);
        let parts = measured.iter().map(|part| PartTime {
            name: accounts.names.name(usize::from(part.kind)),
            requests: part.requests,
            segments_mean: part.segments as f64 / requests,
            mean_ms: mean(part.nanos),
            max_ms: part.max_nanos as f64 / 1e6,
            share: share(part.nanos),
        });
        #[cfg(feature = "statements")]
        let (statements, statements_max) = (account.statements.executions, account.statements.max);
        #[cfg(not(feature = "statements"))]
        let (statements, statements_max) = (0_u64, 0);
        let mut time = Self {
            route: route.to_owned(),
            method: method.to_owned(),
            requests: account.requests,
            mean_ms: mean(account.nanos),
            max_ms: account.max_nanos as f64 / 1e6,
            parts: parts.collect(),
            rest_mean_ms: mean(rest),
            rest_share: share(rest),
            statements_mean: statements as f64 / requests,
            statements_max,
            unmeasured_segments: account.unmeasured,
            verdict: String::new(),
        };
        time.verdict = time.sentence(window);
        time
    }

    fn sentence(&self, window: Window) -> String {
        let parts = self.parts.iter().map(|part| {
            format!(
                "{:.0} % {} ({:.1} ms)",
                part.share * 100.0,
                described(part.name),
                part.mean_ms
            )
        });
        let rest = format!(
            "{:.0} % the rest ({:.1} ms)",
            self.rest_share * 100.0,
            self.rest_mean_ms
        );
        let parts: Vec<_> = parts.chain([rest]).collect();
        format!(
            "{} {} takes {:.1} ms on average {}: {} (n = {})",
            self.method,
            self.route,
            self.mean_ms,
            when(window),
            parts.join(", "),
            self.requests
        )
    }
}

fn described(name: &str) -> &str {
    match name {
        super::POOL => "waiting for a connection",
        super::DATABASE => "the database",
        super::CACHE => "the cache",
        name => name,
    }
}

/// The name of a route.
pub(crate) fn name_of(names: &[Arc<str>], route: u32) -> &str {
    names.get(route as usize).map_or(OVERFLOW, |name| name)
}

/// "in the last 15 min", "since the start".
pub(crate) fn when(window: Window) -> String {
    match window.length() {
        Some(length) => format!("in the last {} min", length.as_secs() / 60),
        None => "since the start".to_owned(),
    }
}
