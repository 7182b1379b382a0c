//! Where the service stands, by what the parts tell.

use super::{Benchmark, ENOUGH_LOOK_UPS, ENOUGH_REQUESTS, judge};
use crate::Inner;
use crate::database::{DatabaseError, Overview};
use crate::load_tests::Alone;
use crate::observe::Seen;
use pitcrew_load::Report;

impl Inner {
    /// All targets. The database's overview and what the parts tell are passed in, so that one request asks for them once.
    pub(crate) fn benchmarks(
        &self,
        overview: Option<&Result<Overview, DatabaseError>>,
        seen: &Seen,
    ) -> Vec<Benchmark> {
        let wanted = &self.targets;
        let no_latency = || "no latency handle: add `.latency(..)` to the builder".to_owned();
        let times = seen.times.as_deref();
        let total = times.ok_or_else(no_latency).and_then(|times| {
            if times.total.count < ENOUGH_REQUESTS {
                Err(format!(
                    "{} requests have ended so far; their times say something from {ENOUGH_REQUESTS} on",
                    times.total.count
                ))
            } else {
                Ok(times)
            }
        });
        let figure = |read: fn(&pitcrew::latency::Figures) -> f64| {
            total
                .as_ref()
                .map(|times| read(&times.total))
                .map_err(Clone::clone)
        };
        let errors = total
            .as_ref()
            .map_err(Clone::clone)
            .map(|times| times.snapshot.errors as f64 * 100.0 / times.total.count as f64);
        let rate = self.load_tests.last_rate_per_s(Alone::Api).ok_or_else(|| {
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
        let cache = match &seen.cache {
            None => Err("no cache handle: add `.cache(..)` to the builder".to_owned()),
            Some(stats) => {
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
        found.extend(self.of_load_tests());
        found
    }

    /// What only load tells: of the database and of the WebSocket, in the last load test of that alone.
    fn of_load_tests(&self) -> Vec<Benchmark> {
        let wanted = &self.targets;
        let of_database = |figure: fn(&Report) -> f64| {
            let none =
                "pg_stat_statements keeps no such figure: a load test of statements alone tells it";
            self.under_load(Alone::Database, none, figure)
        };
        let of_websocket = |figure: fn(&Report) -> f64| {
            let none = "nothing else measures the WebSocket: a load test of it alone does";
            self.under_load(Alone::WebSocket, none, figure)
        };
        let rate = |of: Alone| {
            let rate = self.load_tests.last_rate_per_s(of);
            rate.ok_or_else(|| "known only under load in a closed model: POST load-test".to_owned())
        };
        let errors = |report: &Report| report.error_percent;
        vec![
            judge(
                "database_p95",
                "ms",
                "at_most",
                wanted.database_p95_ms,
                of_database(|report| report.response.p95_ms),
            ),
            judge(
                "database_p99",
                "ms",
                "at_most",
                wanted.database_p99_ms,
                of_database(|report| report.response.p99_ms),
            ),
            judge(
                "database_rate",
                "statements/s",
                "at_least",
                wanted.database_rate_per_s,
                rate(Alone::Database),
            ),
            judge(
                "database_errors",
                "%",
                "at_most",
                wanted.database_error_percent,
                of_database(errors),
            ),
            judge(
                "websocket_mean",
                "ms",
                "at_most",
                wanted.websocket_mean_ms,
                of_websocket(|report| report.response.mean_ms),
            ),
            judge(
                "websocket_p95",
                "ms",
                "at_most",
                wanted.websocket_p95_ms,
                of_websocket(|report| report.response.p95_ms),
            ),
            judge(
                "websocket_p99",
                "ms",
                "at_most",
                wanted.websocket_p99_ms,
                of_websocket(|report| report.response.p99_ms),
            ),
            judge(
                "websocket_rate",
                "messages/s",
                "at_least",
                wanted.websocket_rate_per_s,
                rate(Alone::WebSocket),
            ),
            judge(
                "websocket_errors",
                "%",
                "at_most",
                wanted.websocket_error_percent,
                of_websocket(errors),
            ),
        ]
    }

    /// A figure of the last load test of that alone.
    fn under_load(&self, of: Alone, none: &str, figure: fn(&Report) -> f64) -> Result<f64, String> {
        match self.load_tests.last(of) {
            None => Err(none.to_owned()),
            Some(report) if report.requests < ENOUGH_REQUESTS => Err(format!(
                "the last load test of it had {} requests; they say something from {ENOUGH_REQUESTS} on",
                report.requests
            )),
            Some(report) => Ok(figure(&report)),
        }
    }
}
