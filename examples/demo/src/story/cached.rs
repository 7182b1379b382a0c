//! The acts of the cache: warm in this process, and found in Redis by a second instance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::admin::Operator;
use super::{Story, Verdict};
use crate::Failure;
use crate::app::App;
use crate::visitors::{self, Client, Seen, Times, VISITORS, Visitor};

/// How long visitors come before the warm cache is measured.
const WARM_UP: Duration = Duration::from_secs(5);
/// So many of each visitor's first visits are repeated on the second instance.
const REPEATED: usize = 20;

impl Story {
    /// The cache on: warmed, then measured.
    pub(super) async fn cached(
        &self,
        before: &Seen,
        indexed: Option<&Seen>,
        waited_before: Option<f64>,
        verdict: &mut Verdict,
    ) -> Result<Seen, Failure> {
        visitors::come(self.app.address, self.population, WARM_UP, false).await?;
        let figures = |stats: &Value| stats["hits"].as_u64().zip(stats["misses"].as_u64());
        let stats =
            figures(&self.operator.get("/cache/stats").await?).ok_or("the cache has no figures")?;
        let (warm, waited) = self.act(false).await?;
        let after = self.operator.get("/cache/stats").await?;
        let (hits, misses) = figures(&after).ok_or("the cache has no figures")?;
        let (hits, misses) = (hits - stats.0, misses - stats.1);
        let ratio = hits as f64 / (hits + misses).max(1) as f64;
        self.say(format!(
            "With the cache warm: {:.0} requests/s, p50 {:.2} ms, p99 {:.1} ms; {:.1} % of {} look-ups were hits.",
            warm.rate_per_s(),
            warm.reads.quantile_ms(0.5),
            warm.reads.quantile_ms(0.99),
            ratio * 100.0,
            hits + misses
        ));
        let uncached = indexed.unwrap_or(before);
        let measured = &mut verdict.figures;
        measured.hit_ratio = Some(ratio);
        measured.p50_cached_ms = Some(warm.reads.quantile_ms(0.5));
        measured.p99_cached_ms = Some(warm.reads.quantile_ms(0.99));
        measured.cached_hit_p50_ratio = by_route(&warm.hits, &uncached.routes, 0.5);
        measured.cached_hit_p99_ratio = by_route(&warm.hits, &uncached.routes, 0.99);
        measured.rps_ratio = Some(warm.rate_per_s() / before.rate_per_s());
        let wait_ratio = waited
            .zip(waited_before)
            .map(|(after, before)| after / before);
        measured.pool_wait_ratio = wait_ratio;
        let more_requests = warm.requests as f64 / before.requests as f64;
        measured.pool_wait_each_ratio = wait_ratio.map(|ratio| ratio / more_requests);
        let p50_ratio = measured.cached_hit_p50_ratio;
        verdict.figure("hit_ratio > 0.85", Some(ratio), |ratio| ratio > 0.85);
        let seen: u64 = warm.hits.values().map(Times::count).sum();
        verdict.check("visitors saw the hits", seen > 0, seen.to_string());
        if self.has_database() {
            verdict.figure("cached_hit_p50_ratio <= 0.4", p50_ratio, |ratio| {
                ratio <= 0.4
            });
        }
        Ok(warm)
    }

    /// A second instance of the service, as behind a load balancer: what it answers without having asked is in Redis.
    pub(super) async fn second_instance(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        if !self.has_redis() {
            return Ok(());
        }
        let other = App::start(&self.setup).await?;
        let operator = Operator::new(other.address, &other.token);
        let host = self.app.address.to_string();
        let mut client = Client::connect(other.address).await?.with_host(host);
        let mut times = Times::default();
        let (mut asked, mut hits) = (0_u64, 0_u64);
        for path in self.first_reads() {
            let answer = client.send(Method::GET, &path, &[], None).await?;
            asked += 1;
            if answer.is_l2_hit() {
                hits += 1;
                times.record(answer.took);
            }
        }
        let l2 = operator.get("/cache/stats").await?["l2"].clone();
        other.stop().await;
        self.say(format!(
            "A second instance with nothing in its own memory: Redis answered {hits} of its first {asked} requests, p50 {:.2} ms.",
            times.quantile_ms(0.5)
        ));
        verdict.figures.l2_hit_ratio = Some(hits as f64 / asked.max(1) as f64);
        // Both sides count: the marks that a visitor sees, and the cache's own figures.
        let is_right = l2["state"] == "up" && hits > 0 && l2["hits"].as_u64() == Some(hits);
        verdict.check(
            "the second cache level in Redis is up and answers a second instance",
            is_right,
            format!("{hits} of {asked} marked as found there; {l2}"),
        );
        Ok(())
    }

    /// What visitors read first, each path once.
    fn first_reads(&self) -> BTreeSet<String> {
        let visits = (0..VISITORS).flat_map(|number| {
            let mut visitor = Visitor::new(number as u64, self.population);
            (0..REPEATED).map(move |_| visitor.next_visit())
        });
        visits
            .filter(|visit| visit.body.is_none())
            .map(|visit| visit.path)
            .collect()
    }
}

/// A quantile of hits / the same of the same route past the cache: the geometric mean over the routes that were hit, each
/// weighing as often as it was; none where one of them was never asked past the cache.
fn by_route(
    hits: &BTreeMap<&'static str, Times>,
    uncached: &BTreeMap<&'static str, Times>,
    quantile: f64,
) -> Option<f64> {
    let (mut logarithms, mut weight) = (0.0, 0.0);
    for (route, times) in hits {
        let ratio = times.quantile_ms(quantile) / uncached.get(route)?.quantile_ms(quantile);
        logarithms += times.count() as f64 * ratio.ln();
        weight += times.count() as f64;
    }
    (weight > 0.0).then(|| (logarithms / weight).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: usize, ms: u64) -> Times {
        let mut times = Times::default();
        for _ in 0..count {
            times.record(Duration::from_millis(ms));
        }
        times
    }

    #[test]
    fn hits_are_compared_with_their_own_routes_however_the_mix_differs() {
        // Each hit takes half of its route's time. Hits are mostly of the quick route, misses of the slow one.
        let hits = BTreeMap::from([("/quick", times(900, 5)), ("/slow", times(100, 500))]);
        let uncached = BTreeMap::from([
            ("/quick", times(100, 10)),
            ("/slow", times(900, 1_000)),
            ("/never-cached", times(900, 1)),
        ]);
        let ratio = by_route(&hits, &uncached, 0.5).expect("both were asked");
        assert!((0.49..0.51).contains(&ratio), "{ratio}");
        assert_eq!(by_route(&uncached, &hits, 0.5), None);
        assert_eq!(by_route(&BTreeMap::new(), &uncached, 0.5), None);
    }
}
