//! The values a service is held to, and where it stands.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::Inner;
use crate::database::{DatabaseError, Overview};
use crate::observe::time;

/// Below so many look-ups a hit ratio says nothing.
pub(crate) const ENOUGH_LOOK_UPS: u64 = 1_000;
/// Below so many requests a share or a percentile says nothing.
pub(crate) const ENOUGH_REQUESTS: u64 = 100;

/// What a service is held to. Each can be changed; the defaults are those of a service that people wait for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BenchmarkTargets {
    /// Mean time of an answer, to the end of its body: at most, in milliseconds. Default 200.
    pub api_mean_ms: f64,
    /// 95th percentile: at most, in milliseconds. Default 500.
    pub api_p95_ms: f64,
    /// 99th percentile: at most, in milliseconds. Default 1,000.
    pub api_p99_ms: f64,
    /// Requests a second that the service can take: at least. Default 1,000.
    pub api_rate_per_s: f64,
    /// Answers with a 5xx status, or none: at most, in per cent. Default 1.
    pub api_error_percent: f64,
    /// Mean execution time of a statement: at most, in milliseconds. Default 100.
    pub database_mean_ms: f64,
    /// 95th percentile: at most, in milliseconds. Default 300.
    pub database_p95_ms: f64,
    /// 99th percentile: at most, in milliseconds. Default 500.
    pub database_p99_ms: f64,
    /// Statements a second that the database can take: at least. Default 500.
    pub database_rate_per_s: f64,
    /// Statements that fail: at most, in per cent. Default 0.1.
    pub database_error_percent: f64,
    /// Mean time to the answer of a WebSocket message: at most, in milliseconds. Default 50.
    pub websocket_mean_ms: f64,
    /// 95th percentile: at most, in milliseconds. Default 100.
    pub websocket_p95_ms: f64,
    /// 99th percentile: at most, in milliseconds. Default 200.
    pub websocket_p99_ms: f64,
    /// Messages a second that the WebSocket can take: at least. Default 2,000.
    pub websocket_rate_per_s: f64,
    /// Messages that fail: at most, in per cent. Default 2.
    pub websocket_error_percent: f64,
    /// Resident memory: at most, in MiB. Default 512.
    pub memory_mib: f64,
    /// Share of one core: at most, in per cent. Default 70.
    pub cpu_percent: f64,
    /// Hits among hits and misses of the response cache: at least, in per cent. Default 85.
    pub cache_hit_percent: f64,
}

impl Default for BenchmarkTargets {
    fn default() -> Self {
        Self {
            api_mean_ms: 200.0,
            api_p95_ms: 500.0,
            api_p99_ms: 1_000.0,
            api_rate_per_s: 1_000.0,
            api_error_percent: 1.0,
            database_mean_ms: 100.0,
            database_p95_ms: 300.0,
            database_p99_ms: 500.0,
            database_rate_per_s: 500.0,
            database_error_percent: 0.1,
            websocket_mean_ms: 50.0,
            websocket_p95_ms: 100.0,
            websocket_p99_ms: 200.0,
            websocket_rate_per_s: 2_000.0,
            websocket_error_percent: 2.0,
            memory_mib: 512.0,
            cpu_percent: 70.0,
            cache_hit_percent: 85.0,
        }
    }
}

/// Whether a target is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// Nothing was measured, so nothing is claimed; `detail` says why.
    NotMeasured,
}

/// One target and where the service stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) target: f64,
    /// `at_most` or `at_least`.
    pub(crate) bound: &'static str,
    pub(crate) value: Option<f64>,
    pub(crate) verdict: Verdict,
    /// Since when it is met or missed, as far back as the process goes; RFC 3339. None where that is not known.
    pub(crate) since: Option<String>,
    pub(crate) detail: String,
}

/// Since when each target is met or missed.
#[derive(Debug, Default)]
pub(crate) struct Since(Mutex<BTreeMap<&'static str, (Verdict, i64)>>);

impl Since {
    /// Takes down where the targets stand; one that is not measured now stays as it was.
    pub(crate) fn look(&self, now: i64, benchmarks: &[Benchmark]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = benchmarks
            .iter()
            .filter(|one| one.verdict != Verdict::NotMeasured);
        for one in measured {
            let since = known.entry(one.name).or_insert((one.verdict, now));
            if since.0 != one.verdict {
                *since = (one.verdict, now);
            }
        }
    }

    /// Puts it to the targets that stand as they stood then.
    pub(crate) fn put(&self, benchmarks: &mut [Benchmark]) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in benchmarks {
            let since = known
                .get(one.name)
                .filter(|(verdict, _)| *verdict == one.verdict);
            one.since = since.map(|(_, since)| time(*since));
        }
    }
}

fn judge(
    name: &'static str,
    unit: &'static str,
    bound: &'static str,
    target: f64,
    value: Result<f64, String>,
) -> Benchmark {
    let (value, verdict, detail) = match value {
        Err(why) => (None, Verdict::NotMeasured, why),
        Ok(value) => {
            let is_met = if bound == "at_most" {
                value <= target
            } else {
                value >= target
            };
            let verdict = if is_met {
                Verdict::Met
            } else {
                Verdict::Missed
            };
            let words = bound.replace('_', " ");
            (
                Some(value),
                verdict,
                format!("{value:.1} {unit} measured, {words} {target} {unit} wanted"),
            )
        }
    };
    Benchmark {
        name,
        unit,
        target,
        bound,
        value,
        verdict,
        since: None,
        detail,
    }
}

impl Inner {
    /// All targets. The database's overview is passed in, so that one request asks for it once.
    pub(crate) fn benchmarks(
        &self,
        overview: Option<&Result<Overview, DatabaseError>>,
    ) -> Vec<Benchmark> {
        let wanted = &self.targets;
        let no_latency = || "no latency handle: add `.latency(..)` to the builder".to_owned();
        let latency = self.latency.as_ref().map(pitcrew::LatencyHandle::snapshot);
        let total = latency
            .as_ref()
            .ok_or_else(no_latency)
            .and_then(|snapshot| {
                let total = snapshot.total();
                if total.count < ENOUGH_REQUESTS {
                    Err(format!(
                        "{} requests have ended so far; their times say something from {ENOUGH_REQUESTS} on",
                        total.count
                    ))
                } else {
                    Ok((snapshot, total))
                }
            });
        let figure = |read: fn(&pitcrew::latency::Figures) -> f64| {
            total
                .as_ref()
                .map(|(_, total)| read(total))
                .map_err(Clone::clone)
        };
        let errors = total
            .as_ref()
            .map_err(Clone::clone)
            .map(|(snapshot, total)| snapshot.errors as f64 * 100.0 / total.count as f64);
        let rate = self.load_tests.last_rate_per_s().ok_or_else(|| {
            "what the service can take is known only under load: POST load-test".to_owned()
        });
        let database = match overview {
            None => Err("no database: add `.database(..)` to the builder".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(overview)) => overview.mean_ms.ok_or_else(|| {
                "pg_stat_statements has no figures, or the extension is not there".to_owned()
            }),
        };
        let memory = self.memory.as_ref().map(pitcrew::MemoryHandle::snapshot);
        let no_memory = || "no memory handle: add `.memory(..)` to the builder".to_owned();
        let process = memory.map(|memory| memory.process).ok_or_else(no_memory);
        let rss = process.clone().and_then(|process| {
            let bytes = process.rss_bytes.ok_or("this system does not tell it")?;
            Ok(bytes as f64 / f64::from(1 << 20))
        });
        let cpu = process.and_then(|process| {
            let percent = process.cpu_percent;
            percent.ok_or_else(|| "known from the second sample on".to_owned())
        });
        let cache = match &self.cache {
            None => Err("no cache handle: add `.cache(..)` to the builder".to_owned()),
            Some(cache) => {
                let stats = cache.stats();
                let looked_up = stats.hits + stats.misses;
                if looked_up < ENOUGH_LOOK_UPS {
                    Err(format!(
                        "{looked_up} look-ups so far; a ratio says something from {ENOUGH_LOOK_UPS} on"
                    ))
                } else {
                    Ok(stats.hit_ratio * 100.0)
                }
            }
        };
        let mut found = vec![
            judge(
                "api_mean",
                "ms",
                "at_most",
                wanted.api_mean_ms,
                figure(|total| total.mean_ms),
            ),
            judge(
                "api_p95",
                "ms",
                "at_most",
                wanted.api_p95_ms,
                figure(|total| total.p95_ms),
            ),
            judge(
                "api_p99",
                "ms",
                "at_most",
                wanted.api_p99_ms,
                figure(|total| total.p99_ms),
            ),
            judge(
                "api_rate",
                "requests/s",
                "at_least",
                wanted.api_rate_per_s,
                rate,
            ),
            judge(
                "api_errors",
                "%",
                "at_most",
                wanted.api_error_percent,
                errors,
            ),
            judge(
                "database_mean",
                "ms",
                "at_most",
                wanted.database_mean_ms,
                database,
            ),
            judge("memory", "MiB", "at_most", wanted.memory_mib, rss),
            judge("cpu", "%", "at_most", wanted.cpu_percent, cpu),
            judge(
                "cache_hits",
                "%",
                "at_least",
                wanted.cache_hit_percent,
                cache,
            ),
        ];
        // What nothing here measures is said to be unmeasured.
        let statements = "pg_stat_statements keeps no such figure";
        let websocket = "nothing measures the WebSocket: a load test of it does";
        found.extend(
            [
                (
                    "database_p95",
                    "ms",
                    "at_most",
                    wanted.database_p95_ms,
                    statements,
                ),
                (
                    "database_p99",
                    "ms",
                    "at_most",
                    wanted.database_p99_ms,
                    statements,
                ),
                (
                    "database_rate",
                    "statements/s",
                    "at_least",
                    wanted.database_rate_per_s,
                    statements,
                ),
                (
                    "database_errors",
                    "%",
                    "at_most",
                    wanted.database_error_percent,
                    statements,
                ),
                (
                    "websocket_mean",
                    "ms",
                    "at_most",
                    wanted.websocket_mean_ms,
                    websocket,
                ),
                (
                    "websocket_p95",
                    "ms",
                    "at_most",
                    wanted.websocket_p95_ms,
                    websocket,
                ),
                (
                    "websocket_p99",
                    "ms",
                    "at_most",
                    wanted.websocket_p99_ms,
                    websocket,
                ),
                (
                    "websocket_rate",
                    "messages/s",
                    "at_least",
                    wanted.websocket_rate_per_s,
                    websocket,
                ),
                (
                    "websocket_errors",
                    "%",
                    "at_most",
                    wanted.websocket_error_percent,
                    websocket,
                ),
            ]
            .map(|(name, unit, bound, target, why)| {
                judge(name, unit, bound, target, Err(why.to_owned()))
            }),
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_missed_since_it_changed_and_what_is_not_measured_changes_nothing() {
        let one = |value: Result<f64, String>| judge("memory", "MiB", "at_most", 512.0, value);
        let since = Since::default();
        let told = |value: f64| {
            let mut benchmarks = [one(Ok(value))];
            since.put(&mut benchmarks);
            benchmarks[0].since.clone()
        };
        assert_eq!(told(1.0), None);
        since.look(100, &[one(Ok(1.0))]);
        since.look(200, &[one(Ok(2.0))]);
        assert_eq!(told(3.0), Some(time(100)));
        assert_eq!(told(600.0), None, "it is missed only now");
        since.look(300, &[one(Ok(600.0))]);
        since.look(400, &[one(Err(String::new()))]);
        assert_eq!(told(700.0), Some(time(300)));
    }
}
