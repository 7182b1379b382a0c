//! The story: what pitcrew does for this service, told as it happens and measured from outside.

mod admin;
mod figures;
mod indexes;
mod statements;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::admin::Operator;
use self::figures::Verdict;
use crate::Failure;
use crate::app::App;
use crate::app::store::{MemoryStore, PostgresStore, Store};
use crate::args::Args;
use crate::data::{self, EMBEDDED_SCALE, Population, SCALE};
use crate::visitors::{self, Client, PAST_THE_CACHE, Seen};

/// How long visitors stay in each act.
const STAY: Duration = Duration::from_secs(8);
/// How long they come before the warm cache is measured.
const WARM_UP: Duration = Duration::from_secs(5);

pub(crate) struct Story {
    begin: Instant,
    address: SocketAddr,
    operator: Operator,
    population: Population,
    has_database: bool,
    has_redis: bool,
}

fn say(begin: Instant, sentence: &str) {
    println!("[{:5.1} s] {sentence}", begin.elapsed().as_secs_f64());
}

impl Story {
    /// Fills the database, starts the service.
    pub(crate) async fn begin(args: &Args) -> Result<(Self, App), Failure> {
        let begin = Instant::now();
        let store = match &args.database_url {
            None => {
                println!(
                    "NO DATABASE: a small copy of the data in memory; index suggestions and jobs are off."
                );
                Store::Memory(MemoryStore::generate())
            }
            Some(url) => {
                let (client, connection) =
                    tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
                let connection = tokio::spawn(connection);
                let rows = data::load(&client).await?;
                drop(client);
                connection.await??;
                say(
                    begin,
                    &format!("Loaded TPC-H at scale {SCALE}: {rows} rows, primary keys only."),
                );
                Store::Postgres(PostgresStore::connect(url).await?)
            }
        };
        if args.redis_url.is_none() {
            println!("NO REDIS: the cache lives in this process alone.");
        }
        let app = App::start(
            store,
            args.database_url.as_deref(),
            args.redis_url.as_deref(),
        )
        .await?;
        say(
            begin,
            &format!("The service listens on http://{}.", app.address),
        );
        let has_database = args.database_url.is_some();
        let story = Self {
            begin,
            address: app.address,
            operator: Operator::new(app.address, &app.token),
            population: Population::at(if has_database { SCALE } else { EMBEDDED_SCALE }),
            has_database,
            has_redis: args.redis_url.is_some(),
        };
        Ok((story, app))
    }

    fn say(&self, sentence: impl AsRef<str>) {
        say(self.begin, sentence.as_ref());
    }

    /// Every act, in order. An act that cannot be played is an error; a figure that misses its bar is a failed check.
    pub(crate) async fn tell(&self) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::default();
        verdict.figures.mode = match (self.has_database, self.has_redis) {
            (true, true) => "full",
            (true, false) => "no redis",
            (false, true) => "no database",
            (false, false) => "no database, no redis",
        }
        .to_owned();
        self.guard(&mut verdict).await?;

        let (before, waited_before) = self.act(true).await?;
        self.say(format!(
            "Before: {} visitors past the cache, {:.0} requests/s, p50 {:.1} ms, p99 {:.1} ms.",
            visitors::VISITORS,
            before.rate_per_s(),
            before.reads.quantile_ms(0.5),
            before.reads.quantile_ms(0.99)
        ));
        verdict.figures.p50_before_ms = Some(before.reads.quantile_ms(0.5));
        verdict.figures.p99_before_ms = Some(before.reads.quantile_ms(0.99));
        self.slowest(&before, &mut verdict).await?;

        let mut indexed = None;
        if self.has_database {
            self.indexes(&mut verdict).await?;
            let (seen, _) = self.act(true).await?;
            self.say(format!(
                "With the indexes: {:.0} requests/s, p50 {:.1} ms, p99 {:.1} ms, still past the cache.",
                seen.rate_per_s(),
                seen.reads.quantile_ms(0.5),
                seen.reads.quantile_ms(0.99)
            ));
            verdict.figures.p50_indexed_ms = Some(seen.reads.quantile_ms(0.5));
            verdict.figures.p99_indexed_ms = Some(seen.reads.quantile_ms(0.99));
            indexed = Some(seen);
        }
        let warm = self
            .cached(&before, indexed.as_ref(), waited_before, &mut verdict)
            .await?;
        self.routes(&before, indexed.as_ref(), &warm);
        let errors = before.errors + warm.errors + indexed.as_ref().map_or(0, |seen| seen.errors);
        verdict.check(
            "no visitor saw an error",
            errors == 0,
            format!("{errors} errors"),
        );

        self.write_and_read(&mut verdict).await?;
        self.live(&mut verdict).await?;
        self.load_test(&mut verdict).await?;
        self.memory(&mut verdict).await?;
        self.overview(&mut verdict).await?;
        verdict.figures.demo_seconds = self.begin.elapsed().as_secs_f64();
        Ok(verdict)
    }

    /// Nobody gets in without the token; health is public.
    async fn guard(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let status = self.operator.stranger("/status").await?;
        verdict.check(
            "a wrong token is refused",
            status == StatusCode::UNAUTHORIZED,
            status.to_string(),
        );
        let health = self.operator.get("/health").await?;
        verdict.check("health is UP", health["status"] == "UP", health.to_string());
        Ok(())
    }

    /// Lets visitors in; tells what they saw and how long each request waited for a connection, in milliseconds.
    async fn act(&self, past_the_cache: bool) -> Result<(Seen, Option<f64>), Failure> {
        let waited = self.waited_ms().await?;
        let seen = visitors::come(self.address, self.population, STAY, past_the_cache).await?;
        let waited_after = self.waited_ms().await?;
        let each = waited
            .zip(waited_after)
            .map(|(before, after)| (after - before) / seen.requests as f64);
        Ok((seen, each))
    }

    /// All time that was spent waiting for a connection so far.
    async fn waited_ms(&self) -> Result<Option<f64>, Failure> {
        let status = self.operator.get("/status").await?;
        Ok(status["pools"][0]["wait_ms"].as_f64())
    }

    /// The service's own figures name the slow routes, and agree with what visitors saw.
    async fn slowest(&self, seen: &Seen, verdict: &mut Verdict) -> Result<(), Failure> {
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

    /// The cache on: warmed, then measured.
    async fn cached(
        &self,
        before: &Seen,
        indexed: Option<&Seen>,
        waited_before: Option<f64>,
        verdict: &mut Verdict,
    ) -> Result<Seen, Failure> {
        visitors::come(self.address, self.population, WARM_UP, false).await?;
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
        let against =
            |quantile| Some(warm.hits.quantile_ms(quantile) / uncached.reads.quantile_ms(quantile));
        let measured = &mut verdict.figures;
        measured.hit_ratio = Some(ratio);
        measured.p50_cached_ms = Some(warm.reads.quantile_ms(0.5));
        measured.p99_cached_ms = Some(warm.reads.quantile_ms(0.99));
        measured.cached_hit_p50_ratio = against(0.5);
        measured.cached_hit_p99_ratio = against(0.99);
        measured.rps_ratio = Some(warm.rate_per_s() / before.rate_per_s());
        measured.pool_wait_ratio = waited
            .zip(waited_before)
            .map(|(after, before)| after / before);
        let (hit_ratio, p50_ratio) = (measured.hit_ratio, measured.cached_hit_p50_ratio);
        verdict.figure("hit_ratio > 0.85", hit_ratio, |ratio| ratio > 0.85);
        verdict.check(
            "visitors saw the hits",
            warm.hits.count() > 0,
            warm.hits.count().to_string(),
        );
        if self.has_database {
            verdict.figure("cached_hit_p50_ratio <= 0.4", p50_ratio, |ratio| {
                ratio <= 0.4
            });
        }
        if self.has_redis {
            let l2 = &after["l2"];
            let is_used = l2["state"] == "up" && after["stores"].as_u64() > Some(0);
            verdict.check(
                "the second cache level in Redis is up",
                is_used,
                l2.to_string(),
            );
        }
        Ok(warm)
    }

    /// The same routes in each act.
    fn routes(&self, before: &Seen, indexed: Option<&Seen>, warm: &Seen) {
        println!();
        println!(
            "{:28} {:>20} {:>20} {:>20}",
            "p50 / p99 in ms, by route", "before", "indexed", "cache warm"
        );
        for (route, times) in &before.routes {
            let cell = |seen: Option<&Seen>| {
                seen.and_then(|seen| seen.routes.get(route)).map_or_else(
                    || "-".to_owned(),
                    |times| {
                        format!(
                            "{:.2} / {:.1}",
                            times.quantile_ms(0.5),
                            times.quantile_ms(0.99)
                        )
                    },
                )
            };
            let first = format!(
                "{:.2} / {:.1}",
                times.quantile_ms(0.5),
                times.quantile_ms(0.99)
            );
            println!(
                "{route:28} {first:>20} {:>20} {:>20}",
                cell(indexed),
                cell(Some(warm))
            );
        }
        println!();
    }

    /// An order purges what it changed: whoever asks next sees it.
    async fn write_and_read(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let mut client = Client::connect(self.address).await?;
        let path = "/customers/1/orders";
        client.send(Method::GET, path, &[], None).await?;
        let cached = client.send(Method::GET, path, &[], None).await?;
        let new = r#"{"customer": 1, "part": 1, "quantity": 3}"#.to_owned();
        let added = client.send(Method::POST, "/orders", &[], Some(new)).await?;
        let key = serde_json::from_slice::<Value>(&added.body)?["key"].clone();
        let after = client.send(Method::GET, path, &[], None).await?;
        let orders: Value = serde_json::from_slice(&after.body)?;
        let is_there = orders
            .as_array()
            .is_some_and(|orders| orders.iter().any(|order| order["key"] == key));
        let is_right =
            cached.is_hit() && added.status == StatusCode::CREATED && is_there && !key.is_null();
        verdict.check(
            "a new order is seen at once by whoever asks next",
            is_right,
            format!("order {key}"),
        );
        self.say(if is_right {
            "A new order purged what it changed: the customer's next answer had it."
        } else {
            "A new order is MISSING from the customer's next answer."
        });
        Ok(())
    }

    /// A listener on the WebSocket hears of a new order.
    async fn live(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let (mut socket, _) =
            tokio_tungstenite::connect_async(format!("ws://{}/live", self.address)).await?;
        let mut client = Client::connect(self.address).await?;
        let new = r#"{"customer": 2, "part": 2, "quantity": 1}"#.to_owned();
        let added: Value = serde_json::from_slice(
            &client
                .send(Method::POST, "/orders", &[], Some(new))
                .await?
                .body,
        )?;
        let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await;
        let heard = message
            .ok()
            .flatten()
            .and_then(Result::ok)
            .map(|message| message.to_string())
            .unwrap_or_default();
        let order: Value = serde_json::from_str(&heard).unwrap_or_default();
        verdict.check(
            "the WebSocket told of a new order",
            order["key"] == added["key"] && !order["key"].is_null(),
            heard,
        );
        Ok(())
    }

    /// The load tester, against this service itself.
    async fn load_test(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let body =
            json!({"plan": {"path": "/customers/1/orders", "duration_s": 2.0, "connections": 8}});
        let started = self.operator.post("/load-test", body).await?;
        let path = format!("/load-test/{}", started["id"].as_str().unwrap_or("?"));
        let report = self
            .operator
            .until(&path, Duration::from_secs(20), |run| {
                (run["state"] == "finished").then(|| run["report"].clone())
            })
            .await?;
        self.say(format!(
            "Load test of a warm route: {:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms, {} errors.",
            report["rate_per_s"].as_f64().unwrap_or(0.0),
            report["p50_ms"].as_f64().unwrap_or(0.0),
            report["p99_ms"].as_f64().unwrap_or(0.0),
            report["requests"].as_u64().unwrap_or(0) - report["ok"].as_u64().unwrap_or(0)
        ));
        let is_right = report["ok"].as_u64() > Some(100) && report["error_percent"] == 0.0;
        verdict.check(
            "the load test ran against this service",
            is_right,
            format!("{} answers", report["ok"]),
        );
        Ok(())
    }

    /// Memory: what the process holds, and what one release gives back.
    async fn memory(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let usage = self.operator.get("/memory/usage").await?;
        let routes = usage["routes"].as_array().map_or(0, Vec::len);
        let rss_mb = usage["process"]["rss_bytes"]
            .as_f64()
            .map(|bytes| bytes / 1e6);
        let is_right = usage["counting"] == true && routes > 0 && rss_mb.is_some_and(|mb| mb > 1.0);
        verdict.check(
            "memory is sampled and counted by route",
            is_right,
            format!("{routes} routes"),
        );
        verdict.figures.rss_mb = rss_mb;

        let released = self.operator.post("/memory/gc", json!({})).await?;
        let report = &released["report"];
        let mb = |name: &str| report[name].as_f64().map(|bytes| bytes / 1e6);
        verdict.figures.rss_released_mb = mb("released_bytes");
        self.say(format!(
            "Release: {:.0} MB resident before, {:.0} MB after, in {:.1} ms ({}).",
            mb("before_bytes").unwrap_or(0.0),
            mb("after_bytes").unwrap_or(0.0),
            report["took_ms"].as_f64().unwrap_or(0.0),
            report["method"].as_str().unwrap_or("?")
        ));
        let is_told = report["supported"] == true || report["detail"].is_string();
        verdict.check(
            "a release reports before and after",
            is_told,
            report.to_string(),
        );
        Ok(())
    }

    /// Status and benchmarks speak of what has just happened.
    async fn overview(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let status = self.operator.get("/status").await?;
        let sentence = status["verdict"].as_str().unwrap_or_default();
        self.say(format!("Status: {sentence}"));
        let count = status["response_times"]["count"].as_u64();
        verdict.check(
            "status has the live figures",
            !sentence.is_empty() && count > Some(1_000),
            format!("{count:?}"),
        );
        let benchmarks = self.operator.get("/benchmarks").await?;
        let list = benchmarks["benchmarks"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let measured = list.iter().filter(|one| one["value"].is_number()).count();
        let met = list.iter().filter(|one| one["verdict"] == "met").count();
        self.say(format!(
            "Benchmarks: {met} of {measured} measured targets are met."
        ));
        verdict.check(
            "benchmarks are measured",
            measured >= 7,
            format!("{measured} measured, {met} met"),
        );
        Ok(())
    }
}

/// Calls one route `calls` times past the cache, from two connections.
async fn call(
    address: SocketAddr,
    population: Population,
    route: &'static str,
    calls: usize,
) -> Result<(), Failure> {
    let half = |seed| async move {
        // The same seed each time: every round makes the same calls.
        let mut visitor = visitors::Visitor::new(seed, population);
        let mut client = Client::connect(address).await?;
        for _ in 0..calls / 2 {
            let visit = visitor.read(route);
            client
                .send(Method::GET, &visit.path, &PAST_THE_CACHE, None)
                .await?;
        }
        Ok::<_, Failure>(())
    };
    tokio::try_join!(half(101), half(102)).map(|_| ())
}
