//! The acts of the visitors: what they see past the cache, and what the service says of it.

use std::time::Duration;

use super::{Story, Verdict};
use crate::Failure;
use crate::visitors::{self, Seen, Times};

/// How long visitors stay in each act.
const STAY: Duration = Duration::from_secs(8);

impl Story {
    /// Lets visitors in; tells what they saw and how long they waited for a connection, all together, in milliseconds.
    pub(super) async fn act(&self, past_the_cache: bool) -> Result<(Seen, Option<f64>), Failure> {
        let waited = self.waited_ms().await?;
        let seen = visitors::come(self.app.address, self.population, STAY, past_the_cache).await?;
        let waited_after = self.waited_ms().await?;
        let waited = waited
            .zip(waited_after)
            .map(|(before, after)| after - before);
        Ok((seen, waited))
    }

    /// All time that was spent waiting for a connection so far.
    async fn waited_ms(&self) -> Result<Option<f64>, Failure> {
        let status = self.operator.get("/status").await?;
        Ok(status["pools"][0]["wait_ms"].as_f64())
    }

    /// The service's own figures name the slow routes, and agree with what visitors saw.
    pub(super) async fn slowest(&self, seen: &Seen, verdict: &mut Verdict) -> Result<(), Failure> {
        let times = self.operator.get("/response-times").await?;
        let series = times["series"].as_array().ok_or("series is missing")?;
        let slow: Vec<_> = series
            .iter()
            .filter(|one| one["status_class"] == "2xx")
            .take(3)
            .collect();
        for one in &slow {
            self.say(format!(
                "Slow: {} {}, p50 {:.1} ms, p99 {:.1} ms over {} requests.",
                one["method"].as_str().unwrap_or("?"),
                one["route"].as_str().unwrap_or("?"),
                one["p50_ms"].as_f64().unwrap_or(0.0),
                one["p99_ms"].as_f64().unwrap_or(0.0),
                one["count"]
            ));
        }
        let counted: u64 = series.iter().filter_map(|one| one["count"].as_u64()).sum();
        verdict.check(
            "the latency layer counted every request",
            counted >= seen.requests && !slow.is_empty(),
            format!("{counted} counted, {} sent", seen.requests),
        );
        Ok(())
    }

    /// The same routes in each act.
    pub(super) fn routes(&self, before: &Seen, indexed: Option<&Seen>, warm: &Seen) {
        let cell = |times: Option<&Times>| {
            times.map_or_else(
                || "-".to_owned(),
                |times| {
                    let (p50, p99) = (times.quantile_ms(0.5), times.quantile_ms(0.99));
                    format!("{p50:.2} / {p99:.1}")
                },
            )
        };
        println!();
        println!(
            "{:28} {:>20} {:>20} {:>20}",
            "p50 / p99 in ms, by route", "before", "indexed", "cache warm"
        );
        for (route, times) in &before.routes {
            println!(
                "{route:28} {:>20} {:>20} {:>20}",
                cell(Some(times)),
                cell(indexed.and_then(|seen| seen.routes.get(route))),
                cell(warm.routes.get(route))
            );
        }
        println!();
    }
}
