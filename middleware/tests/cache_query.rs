//! Rows of queries in the cache.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

mod support;

use support::{Handler, answer, ask, cached, get};

use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{Purge, QueryOutcome, Refusal, Region},
    clock::Clock,
};

struct Database {
    handle: CacheHandle,
    clock: Clock,
    calls: Arc<AtomicUsize>,
}

impl Database {
    fn new() -> Self {
        let clock = Clock::manual();
        let (_, handle) = CacheLayer::builder()
            .region(Region::queries().ttl(Duration::from_secs(60)))
            .clock(clock.clone())
            .build();
        Self {
            handle,
            clock,
            calls: Arc::default(),
        }
    }

    /// Rows that tell how often the database was asked.
    async fn ask(&self, sql: &str, parameters: &[i64]) -> (Vec<usize>, QueryOutcome) {
        let calls = &self.calls;
        let fetch = async || Ok::<_, &str>(vec![calls.fetch_add(1, Ordering::SeqCst)]);
        let (rows, outcome) = self.handle.query("queries", sql, parameters, fetch).await;
        (rows.unwrap(), outcome)
    }
}

const SQL: &str = "SELECT total FROM orders WHERE customer = $1";

#[tokio::test]
async fn the_same_query_with_the_same_parameters_is_asked_once_until_its_ttl_ends() {
    let database = Database::new();
    assert_eq!(
        database.ask(SQL, &[1]).await,
        (vec![0], QueryOutcome::Stored)
    );
    let same = "select total\n  from Orders where customer=$1 -- again";
    assert_eq!(database.ask(same, &[1]).await, (vec![0], QueryOutcome::Hit));
    assert_eq!(
        database.ask(SQL, &[2]).await,
        (vec![1], QueryOutcome::Stored)
    );
    database.clock.advance(Duration::from_secs(61));
    assert_eq!(database.ask(SQL, &[1]).await.1, QueryOutcome::Stored);
    let stats = database.handle.stats();
    assert_eq!((stats.hits, stats.misses), (1, 3));
}

#[tokio::test]
async fn a_purge_of_a_table_takes_the_rows_that_were_read_from_it() {
    let database = Database::new();
    let joined = "SELECT 1 FROM orders JOIN sales.parts ON true";
    for sql in [SQL, joined, "SELECT 1 FROM other"] {
        database.ask(sql, &[]).await;
    }
    database
        .handle
        .purge(Purge::Tag("table:sales.parts".into()))
        .await
        .unwrap();
    assert_eq!(database.ask(joined, &[]).await.1, QueryOutcome::Stored);
    assert_eq!(database.ask(SQL, &[]).await.1, QueryOutcome::Hit);
    database
        .handle
        .purge(Purge::Tag("table:public.orders".into()))
        .await
        .unwrap();
    assert_eq!(database.ask(SQL, &[]).await.1, QueryOutcome::Stored);
    assert_eq!(
        database.ask("SELECT 1 FROM other", &[]).await.1,
        QueryOutcome::Hit
    );
}

#[tokio::test]
async fn c16_rows_that_were_read_before_a_purge_are_not_kept() {
    let database = Database::new();
    let handle = database.handle.clone();
    let slow = async || {
        handle
            .purge(Purge::Tag("table:public.orders".into()))
            .await
            .unwrap();
        Ok::<_, &str>(vec![7])
    };
    let (rows, outcome) = database.handle.query("queries", SQL, &[1], slow).await;
    assert_eq!((rows.unwrap(), outcome), (vec![7], QueryOutcome::NotStored));
    assert_eq!(database.ask(SQL, &[1]).await.1, QueryOutcome::Stored);
}

#[tokio::test]
async fn c11_many_who_ask_at_once_are_one_query() {
    let database = Arc::new(Database::new());
    let gate = Arc::new(tokio::sync::Notify::new());
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let (database, gate) = (database.clone(), gate.clone());
            tokio::spawn(async move {
                let calls = &database.calls;
                let fetch = async || {
                    calls.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok::<_, &str>(vec![1])
                };
                database
                    .handle
                    .query("queries", SQL, &[1], fetch)
                    .await
                    .0
                    .unwrap()
            })
        })
        .collect();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    for one in asking {
        assert_eq!(one.await.unwrap(), vec![1]);
    }
    assert_eq!(database.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_is_its_callers_alone_and_is_not_kept() {
    let database = Database::new();
    let failing = async || Err::<Vec<usize>, _>("gone");
    let (rows, outcome) = database.handle.query("queries", SQL, &[1], failing).await;
    assert_eq!(
        (rows.unwrap_err(), outcome),
        ("gone", QueryOutcome::NotStored)
    );
    assert_eq!(database.ask(SQL, &[1]).await.1, QueryOutcome::Stored);
}

#[tokio::test]
async fn what_cannot_be_cached_is_fetched_each_time_and_says_why() {
    let database = Database::new();
    for (sql, refusal) in [
        ("SELECT now()", Refusal::Volatile("now".into())),
        ("UPDATE t SET a = 1", Refusal::Writes),
        ("SELECT * FROM t FOR UPDATE", Refusal::Locks),
        ("no SQL", Refusal::NotReadable),
    ] {
        for _ in 0..2 {
            let (_, outcome) = database.ask(sql, &[]).await;
            assert_eq!(outcome, QueryOutcome::Refused(refusal.clone()), "{sql}");
        }
    }
    assert_eq!(database.calls.load(Ordering::SeqCst), 8);
    let fetch = async || Ok::<_, &str>(vec![1]);
    let (_, outcome) = database.handle.query("api", SQL, &[1], fetch).await;
    assert_eq!(outcome, QueryOutcome::Refused(Refusal::NoTtl));
    let (_, outcome) = database.handle.query("querys", SQL, &[1], fetch).await;
    let unknown = Refusal::Region("querys".into());
    assert_eq!(outcome, QueryOutcome::Refused(unknown));
}

#[tokio::test]
async fn tags_of_a_view_are_given_by_hand() {
    let database = Database::new();
    let ask = async || {
        let fetch = async || Ok::<_, &str>(vec![1]);
        let sql = "SELECT * FROM a_view";
        let tags = ["table:public.below"];
        database
            .handle
            .query_tagged("queries", sql, &[0], &tags, fetch)
            .await
            .1
    };
    assert_eq!(ask().await, QueryOutcome::Stored);
    assert_eq!(ask().await, QueryOutcome::Hit);
    database
        .handle
        .purge(Purge::Tag("table:public.below".into()))
        .await
        .unwrap();
    assert_eq!(ask().await, QueryOutcome::Stored);
}

/// Rule 6 of the invalidation: what is made of cached rows has their tags, and is no newer than they.
#[tokio::test]
async fn a_purge_of_a_table_takes_the_answers_that_were_made_from_its_rows() {
    let value = Arc::new(AtomicUsize::new(1));
    let own: Arc<std::sync::OnceLock<CacheHandle>> = Arc::default();
    let (read, asked) = (value.clone(), own.clone());
    let handler = Handler::new(move |_, _| {
        let (read, asked) = (read.clone(), asked.clone());
        Box::pin(async move {
            let fetch = async || Ok::<_, &str>(read.load(Ordering::SeqCst));
            let handle = asked.get().unwrap();
            let (rows, _) = handle.query("queries", SQL, &[1], fetch).await;
            let headers = [("cache-control", "max-age=600")];
            Ok(answer(&headers, rows.unwrap().to_string()))
        })
    });
    let region = Region::queries().ttl(Duration::from_secs(600));
    let (app, handle) = cached(&handler, CacheLayer::builder().region(region));
    own.set(handle.clone()).unwrap();
    // Of rows that are fetched, and of rows that are stored already.
    for (path, version) in [("/fetched", 2), ("/stored", 3)] {
        ask(&app, get(path)).await;
        assert!(ask(&app, get(path)).await.is_hit());
        value.store(version, Ordering::SeqCst);
        handle
            .purge(Purge::Tag("table:public.orders".into()))
            .await
            .unwrap();
        assert_eq!(ask(&app, get(path)).await.body, version.to_string());
    }
}

/// Rule 6: a purge by the answer's own tag leaves the rows alone, and what is made of them afterwards is older than the purge.
#[tokio::test]
async fn an_answer_is_no_newer_than_the_rows_that_it_is_made_from() {
    let own: Arc<std::sync::OnceLock<CacheHandle>> = Arc::default();
    let asked = own.clone();
    let handler = Handler::new(move |_, call| {
        let asked = asked.clone();
        Box::pin(async move {
            let fetch = async || Ok::<_, &str>(call);
            let handle = asked.get().unwrap();
            let (rows, _) = handle.query("queries", SQL, &[1], fetch).await;
            let headers = [("cache-control", "max-age=600"), ("x-cache-tags", "orders")];
            Ok(answer(&headers, rows.unwrap().to_string()))
        })
    });
    let region = Region::queries().ttl(Duration::from_secs(600));
    let (app, handle) = cached(&handler, CacheLayer::builder().region(region));
    own.set(handle.clone()).unwrap();
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit());
    handle.purge(Purge::Tag("orders".into())).await.unwrap();
    // What it is replaced by is not kept.
    for (calls, status) in [(2, "pitcrew; fwd=stale"), (3, "pitcrew; fwd=uri-miss")] {
        let seen = ask(&app, get("/")).await;
        assert_eq!((seen.body.as_str(), handler.calls()), ("0", calls));
        assert_eq!(seen.cache_status(), status);
    }
    // Newer rows make a newer answer.
    handle
        .purge(Purge::Tag("table:public.orders".into()))
        .await
        .unwrap();
    assert_eq!(ask(&app, get("/")).await.body, "3");
    assert!(ask(&app, get("/")).await.is_hit());
}

/// Rows that are not kept themselves go with their tables all the same.
#[tokio::test]
async fn an_answer_from_rows_that_are_not_kept_goes_with_their_tables() {
    let own: Arc<std::sync::OnceLock<CacheHandle>> = Arc::default();
    let asked = own.clone();
    let handler = Handler::new(move |_, call| {
        let asked = asked.clone();
        Box::pin(async move {
            let fetch = async || Ok::<_, &str>(call);
            let (handle, unusable) = (asked.get().unwrap(), "x".repeat(300));
            let tags = [&*unusable];
            let query = handle.query_tagged("queries", SQL, &[1], &tags, fetch);
            let (rows, outcome) = query.await;
            assert_eq!(outcome, QueryOutcome::NotStored);
            let headers = [("cache-control", "max-age=600")];
            Ok(answer(&headers, rows.unwrap().to_string()))
        })
    });
    let region = Region::queries().ttl(Duration::from_secs(600));
    let (app, handle) = cached(&handler, CacheLayer::builder().region(region));
    own.set(handle.clone()).unwrap();
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit());
    handle
        .purge(Purge::Tag("table:public.orders".into()))
        .await
        .unwrap();
    assert_eq!(ask(&app, get("/")).await.body, "1");
}

#[tokio::test]
async fn rows_come_back_as_they_were_fetched() {
    let database = Database::new();
    let rows = vec![
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(-0.0),
        Some(1.5),
        None,
    ];
    let bits = |rows: &[Option<f64>]| -> Vec<Option<u64>> {
        rows.iter().map(|row| row.map(f64::to_bits)).collect()
    };
    for outcome in [QueryOutcome::Stored, QueryOutcome::Hit] {
        let fetch = async || Ok::<_, &str>(rows.clone());
        let asked = database.handle.query("queries", SQL, &[1], fetch).await;
        assert_eq!(asked.1, outcome);
        assert_eq!(bits(&asked.0.unwrap()), bits(&rows));
    }
}

#[tokio::test]
async fn a_tag_is_what_a_purge_calls_it_or_nothing_is_kept() {
    let database = Database::new();
    let ask = async |tag: &str| {
        let fetch = async || Ok::<_, &str>(vec![1]);
        let tags = [tag];
        let asked = database
            .handle
            .query_tagged("queries", SQL, &[1], &tags, fetch);
        asked.await.1
    };
    assert_eq!(ask(" x ").await, QueryOutcome::Stored);
    database
        .handle
        .purge(Purge::Tag(" x ".into()))
        .await
        .unwrap();
    assert_eq!(ask(" x ").await, QueryOutcome::Stored);
    assert_eq!(ask(&"x".repeat(300)).await, QueryOutcome::NotStored);
}

#[tokio::test]
async fn parameters_that_json_cannot_tell_apart_have_keys_of_their_own() {
    let database = Database::new();
    let fetch = async || Ok::<_, &str>(vec![1]);
    for parameter in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0] {
        let parameters = [parameter];
        let asked = database.handle.query("queries", SQL, &parameters, fetch);
        assert_eq!(asked.await.1, QueryOutcome::Stored, "{parameter}");
    }
    let none: [Option<f64>; 1] = [None];
    let asked = database.handle.query("queries", SQL, &none, fetch);
    assert_eq!(asked.await.1, QueryOutcome::Stored);
}

/// What would wait by a runtime's timers does without.
#[cfg(feature = "redis")]
#[test]
fn without_a_runtime_nothing_waits_and_nothing_panics() {
    use pitcrew::cache::{PurgeState, RedisStore};
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }
    let redis = RedisStore::connect("redis://127.0.0.1:1").unwrap();
    let region = Region::queries().ttl(Duration::from_secs(60));
    let builder = CacheLayer::builder().region(region).redis(redis);
    let (_, handle) = builder.build();
    let purged = now(handle.purge(Purge::All)).unwrap();
    assert_eq!(
        (purged.local, purged.l2),
        (PurgeState::Done, PurgeState::Pending)
    );
    assert_eq!(now(handle.probe_l2()), Some(false));
    let asked = async || {
        let inner = handle.query("queries", SQL, &[1], async || Ok::<_, &str>(2));
        // Somebody else fetches the same already.
        Ok::<_, &str>(inner.await.0.unwrap())
    };
    let (rows, _) = now(handle.query("queries", SQL, &[1], asked));
    assert_eq!(rows.unwrap(), 2);
}
