//! Visitors: a fixed number of people who ask, wait for the answer, and ask again.

mod client;
mod mix;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use http::{Method, header};

pub use client::{Answer, Client};
pub use mix::{Visit, Visitor};

use crate::Failure;
use crate::data::Population;

/// So many at a time.
pub(crate) const VISITORS: usize = 16;
/// A visitor who asks for an answer that no cache has touched.
pub const PAST_THE_CACHE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Times of answers, in microseconds, up to a minute.
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(1, 60_000_000, 3)
                .expect("hdrhistogram accepts these constants"),
        )
    }
}

impl Times {
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros() as u64);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }
}

/// What visitors saw while they were there.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) elapsed: Duration,
    pub(crate) requests: u64,
    /// Answers of status 400 and above, and none at all.
    pub(crate) errors: u64,
    /// Reads by route.
    pub(crate) routes: BTreeMap<&'static str, Times>,
    /// All reads.
    pub(crate) reads: Times,
    /// Reads that were marked as hits, by route.
    pub(crate) hits: BTreeMap<&'static str, Times>,
}

impl Seen {
    pub(crate) fn rate_per_s(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.reads.add(&other.reads);
        for (all, these) in [
            (&mut self.routes, &other.routes),
            (&mut self.hits, &other.hits),
        ] {
            for (route, times) in these {
                all.entry(route).or_default().add(times);
            }
        }
    }
}

/// Lets visitors in for a while.
pub(crate) async fn come(
    address: SocketAddr,
    population: Population,
    stay: Duration,
    past_the_cache: bool,
) -> Result<Seen, Failure> {
    let begin = Instant::now();
    let visitors: Vec<_> = (0..VISITORS)
        .map(|number| {
            let visitor = Visitor::new(number as u64, population);
            tokio::spawn(stay_on(address, visitor, begin + stay, past_the_cache))
        })
        .collect();
    let mut seen = Seen::default();
    for visitor in visitors {
        seen.add(&visitor.await??);
    }
    seen.elapsed = begin.elapsed();
    Ok(seen)
}

async fn stay_on(
    address: SocketAddr,
    mut visitor: Visitor,
    until: Instant,
    past_the_cache: bool,
) -> Result<Seen, Failure> {
    let mut client = Client::connect(address).await?;
    let mut seen = Seen::default();
    while Instant::now() < until {
        let visit = visitor.next_visit();
        let is_read = visit.body.is_none();
        let method = if is_read { Method::GET } else { Method::POST };
        let headers = if past_the_cache {
            &PAST_THE_CACHE[..]
        } else {
            &[]
        };
        let answer = client
            .send(method, &visit.path, headers, visit.body)
            .await?;
        seen.requests += 1;
        if answer.status.as_u16() >= 400 {
            seen.errors += 1;
        } else if is_read {
            seen.reads.record(answer.took);
            seen.routes
                .entry(visit.route)
                .or_default()
                .record(answer.took);
            if answer.is_hit() {
                seen.hits
                    .entry(visit.route)
                    .or_default()
                    .record(answer.took);
            }
        }
    }
    Ok(seen)
}
