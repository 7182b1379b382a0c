//! The response cache over a real Redis: SECURITY C12, C17, C18, C20, and what a request never notices.

#![allow(clippy::unwrap_used)]

mod instance;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use pitcrew::{
    CacheLayer,
    cache::{DEFAULT_BODY_IN_KEY_BYTES, Purge, PurgeState, RedisStore, Region, RequestBody},
};
use pitcrew_stack::{
    require,
    testing::{self, redis},
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};

use self::instance::{
    Answers, FRESH, Instance, LONG, TAGGED, entries, eventually, hears, is_l2_hit,
    purges_are_heard, unseen,
};

#[tokio::test]
async fn what_one_instance_stored_another_finds() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    let two = Instance::new(&redis.url(), "demo", FRESH, "two");
    one.ask("/a?x=1").await;
    entries(&redis, "demo", 1).await;
    let (status, body) = two.ask("/a?x=1").await;
    assert!(is_l2_hit(&status), "{status}");
    assert_eq!((body.as_str(), two.calls()), ("one0", 0));
    let (status, _) = two.ask("/a?x=1").await;
    assert!(
        status.starts_with("pitcrew; hit") && !is_l2_hit(&status),
        "then from its own process: {status}"
    );
    let figures = &two.handle.stats().routes[0].figures;
    assert_eq!((figures.hit_kinds.get("l2"), figures.misses), (Some(&1), 0));
    let stats = two.handle.stats().l2.unwrap();
    assert_eq!((stats.state, stats.hits, stats.errors), ("up", 1, 0));
}

#[tokio::test]
async fn the_answer_to_a_safe_post_is_found_under_its_content_alone_and_purged_with_its_path() {
    require!(redis);
    let redis = redis();
    let instance = |name: &'static str| {
        let store = RedisStore::connect(&redis.url()).unwrap().namespace("demo");
        let region = Region::api().body_in_key(DEFAULT_BODY_IN_KEY_BYTES);
        let handler = service_fn(
            move |request: Request<RequestBody<Full<Bytes>>>| async move {
                let content = request.into_body().collect().await.unwrap().to_bytes();
                let body = [name.as_bytes(), b" ", &content[..1]].concat();
                let response = Response::builder().header("cache-control", "max-age=60");
                Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body)).unwrap())
            },
        );
        let (layer, handle) = CacheLayer::builder().redis(store).region(region).build();
        let app = layer.with_body_keys().layer(handler);
        let app = app.map_response(|response| response.map(axum::body::Body::new));
        (BoxCloneService::new(app), handle)
    };
    let (one, one_handle) = instance("one");
    let (two, _two_handle) = instance("two");
    type App = BoxCloneService<Request<Full<Bytes>>, Response<axum::body::Body>, Infallible>;
    let ask = async |app: &App, content: &str| {
        let request = Request::post("/search").header("host", "app.example");
        let request = request.body(Full::from(content.to_owned())).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.headers()["cache-status"].to_str().unwrap();
        let status = status.to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    // As long as a key takes: what differs is its end alone.
    let long = |end| format!("{}{end}", "l".repeat(DEFAULT_BODY_IN_KEY_BYTES - 1));
    ask(&one, "short").await;
    ask(&one, &long('1')).await;
    entries(&redis, "demo", 2).await;
    for content in ["short", &long('1')] {
        let (status, body) = ask(&two, content).await;
        assert!(is_l2_hit(&status), "{status}");
        assert_eq!(body, format!("one {}", &content[..1]));
    }
    for other in ["short ", &long('2')] {
        let (status, body) = ask(&two, other).await;
        assert!(status.starts_with("pitcrew; fwd=uri-miss"), "{status}");
        assert_eq!(body, format!("two {}", &other[..1]));
    }
    one_handle
        .purge(Purge::Path("/search".into()))
        .await
        .unwrap();
    let (status, _) = ask(&one, "short ").await;
    assert!(!status.contains("hit"), "not from Redis: {status}");
}

#[tokio::test]
async fn large_bodies_are_compressed_in_redis_and_read_back_as_they_were() {
    require!(redis);
    let redis = redis();
    let body = "a row of the table\n".repeat(10_000);
    let store = || RedisStore::connect(&redis.url()).unwrap().namespace("demo");
    let large = body.clone();
    let handler = move || {
        let body = large.clone();
        service_fn(move |_: Request<Full<Bytes>>| {
            let body = body.clone();
            async move {
                let response = Response::builder().header("cache-control", "max-age=60");
                Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body)).unwrap())
            }
        })
    };
    let (layer, _one) = CacheLayer::builder().redis(store()).build();
    let request = || {
        Request::builder()
            .uri("/large")
            .body(Full::default())
            .unwrap()
    };
    layer.layer(handler()).oneshot(request()).await.unwrap();
    entries(&redis, "demo", 1).await;
    let script = "return redis.call('STRLEN', redis.call('KEYS', 'pitcrew:demo:e:*')[1])";
    let stored: usize = redis
        .command(&["EVAL", script, "0"])
        .unwrap()
        .parse()
        .unwrap();
    assert!(stored < body.len() / 20, "{stored} of {} bytes", body.len());
    let (layer, _two) = CacheLayer::builder().redis(store()).build();
    let response = layer.layer(handler()).oneshot(request()).await.unwrap();
    assert!(is_l2_hit(
        response.headers()["cache-status"].to_str().unwrap()
    ));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        body
    );
}

#[tokio::test]
async fn variants_are_found_too() {
    const VARY: Answers = Answers {
        headers: &[("cache-control", "max-age=60"), ("vary", "accept-language")],
        takes: Duration::ZERO,
    };
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", VARY, "one");
    one.ask_with("/", "de").await;
    one.ask_with("/", "en").await;
    // Two answers, and what says how they vary.
    entries(&redis, "demo", 3).await;
    let two = Instance::new(&redis.url(), "demo", VARY, "two");
    assert_eq!(two.ask_with("/", "en").await.1, "one1en");
    assert_eq!(two.ask_with("/", "de").await.1, "one0de");
    assert_eq!(two.ask_with("/", "fr").await.1, "two0fr");
}

#[tokio::test]
async fn a_thousand_waiters_are_one_get_and_no_command_scans() {
    const SLOW: Answers = Answers {
        headers: FRESH.headers,
        takes: Duration::from_millis(50),
    };
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", SLOW, "one");
    // It follows the purges by now.
    one.ask(&unseen()).await;
    redis.command(&["CONFIG", "RESETSTAT"]).unwrap();
    let many: Vec<_> = (0..1_000)
        .map(|_| {
            let app = one.app.clone();
            tokio::spawn(app.oneshot(Request::builder().uri("/").body(Full::default()).unwrap()))
        })
        .collect();
    for each in many {
        each.await.unwrap().unwrap();
    }
    assert_eq!(one.calls(), 2);
    one.handle.purge(Purge::All).await.unwrap();
    let commands = redis.command(&["INFO", "commandstats"]).unwrap();
    assert!(commands.contains("cmdstat_get:calls=1,"), "{commands}");
    for forbidden in ["cmdstat_keys", "cmdstat_scan", "cmdstat_flush"] {
        assert!(!commands.contains(forbidden), "{forbidden}: {commands}");
    }
}

#[tokio::test]
async fn small_answers_share_one_connection_and_large_ones_take_more() {
    require!(redis);
    for (bytes, takes_more) in [(100, false), (32 << 10, true)] {
        let redis = redis();
        let handler = service_fn(move |_: Request<Full<Bytes>>| async move {
            let response = Response::builder().header("cache-control", "max-age=60");
            Ok::<_, Infallible>(
                response
                    .body(Full::<Bytes>::from(vec![b'x'; bytes]))
                    .unwrap(),
            )
        });
        let (layer, handle) = CacheLayer::builder()
            .redis(instance::store(&redis.url(), "demo"))
            .region(Region::api().compress_above(usize::MAX))
            // Everything is read from Redis, each time.
            .capacity_bytes(1)
            .build();
        let app = BoxCloneService::new(layer.layer(handler));
        let ask_all = async || {
            let asked = (0..64).map(|n| {
                let request = Request::builder().uri(format!("/{n}"));
                tokio::spawn(app.clone().oneshot(request.body(Full::default()).unwrap()))
            });
            for response in asked.collect::<Vec<_>>() {
                let body = response.await.unwrap().unwrap().into_body();
                assert_eq!(body.collect().await.unwrap().to_bytes().len(), bytes);
            }
        };
        let connections = || {
            let clients = redis
                .command(&["CLIENT", "LIST", "TYPE", "normal"])
                .unwrap();
            // Besides ours, that of who asks, and the follower.
            clients
                .lines()
                .filter(|line| line.contains("addr="))
                .count()
                - 2
        };
        let found = || handle.stats().l2.unwrap().hits;
        eventually("all lie in Redis", LONG, async || {
            let before = found();
            ask_all().await;
            found() - before == 64
        })
        .await;
        if takes_more {
            eventually("another connection carries a part", LONG, async || {
                ask_all().await;
                connections() > 1
            })
            .await;
        } else {
            ask_all().await;
            assert_eq!(connections(), 1);
        }
    }
}

#[tokio::test]
async fn c12_foreign_bytes_in_redis_are_misses() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/a").await;
    entries(&redis, "demo", 1).await;
    let overwrite = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('SET', key, ARGV[2]) end return 1";
    let cut = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('SETRANGE', key, 60, ARGV[2]) end return 1";
    for (script, bytes) in [
        (cut, "?"),
        (overwrite, "foreign"),
        (overwrite, ""),
        (overwrite, "PCRW\u{1}\u{1}"),
    ] {
        redis
            .command(&["EVAL", script, "0", "pitcrew:demo:e:*", bytes])
            .unwrap();
        let two = Instance::new(&redis.url(), "demo", FRESH, "two");
        let (status, body) = two.ask("/a").await;
        assert_eq!(
            (status.as_str(), body.as_str()),
            ("pitcrew; fwd=uri-miss; stored", "two0"),
            "{bytes}"
        );
        two.handle.shutdown(LONG).await;
    }
    // Another type under the key is an error of Redis, and a miss.
    let retype = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) redis.call('LPUSH', key, 'x') end return 1";
    redis
        .command(&["EVAL", retype, "0", "pitcrew:demo:e:*"])
        .unwrap();
    let three = Instance::new(&redis.url(), "demo", FRESH, "three");
    assert_eq!(three.ask("/a").await.1, "three0");
}

#[tokio::test]
async fn c12_a_redis_that_is_down_full_or_read_only_costs_no_request_anything() {
    let nobody = Instance::new("redis://127.0.0.1:1/0", "demo", FRESH, "nobody");
    for n in 0..20 {
        assert_eq!(
            nobody.ask(&format!("/{n}")).await.0,
            "pitcrew; fwd=uri-miss; stored"
        );
    }
    assert_eq!(nobody.handle.stats().l2.unwrap().state, "down");
    assert!(nobody.ask("/0").await.0.starts_with("pitcrew; hit"));

    require!(redis);
    let redis = redis();
    for setting in [["maxmemory", "1"], ["min-replicas-to-write", "1"]] {
        redis
            .command(&["CONFIG", "SET", setting[0], setting[1]])
            .unwrap();
        let one = Instance::new(&redis.url(), "demo", FRESH, "one");
        for n in 0..20 {
            assert_eq!(
                one.ask(&format!("/{n}")).await.0,
                "pitcrew; fwd=uri-miss; stored",
                "{setting:?}"
            );
        }
        assert_eq!(
            one.handle.purge(Purge::All).await.unwrap().l2,
            PurgeState::Pending,
            "{setting:?}"
        );
        redis.command(&["CONFIG", "SET", setting[0], "0"]).unwrap();
        eventually("the purge reaches Redis", LONG, || async {
            one.handle.stats().l2.unwrap().pending_purges == 0
        })
        .await;
    }
}

#[tokio::test]
async fn c12_a_hanging_redis_delays_no_request_beyond_the_timeout_by_much() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/warm").await;
    redis.pause();
    let began = Instant::now();
    for n in 0..50 {
        assert_eq!(
            one.ask(&format!("/{n}")).await.0,
            "pitcrew; fwd=uri-miss; stored"
        );
    }
    // Three look-ups of 500 ms open the circuit; a probe each 250 ms after that.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(one.handle.stats().l2.unwrap().state, "down");
    redis.resume();
    eventually("Redis is used again", LONG, || async {
        one.ask(&unseen()).await;
        one.handle.stats().l2.unwrap().state == "up"
    })
    .await;
}

#[tokio::test]
async fn c17_two_apps_in_one_redis_never_see_each_others_entries_or_purges() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "one", FRESH, "one");
    let two = Instance::new(&redis.url(), "two", FRESH, "two");
    one.ask("/").await;
    entries(&redis, "one", 1).await;
    assert_eq!(two.ask("/").await.1, "two0");
    two.handle.purge(Purge::All).await.unwrap();
    let one_again = Instance::new(&redis.url(), "one", FRESH, "again");
    assert!(is_l2_hit(&one_again.ask("/").await.0));
}

#[tokio::test]
async fn c18_after_a_kill_and_a_restart_hits_are_back_within_two_seconds() {
    require!(redis);
    let mut redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/before").await;
    entries(&redis, "demo", 1).await;
    redis.kill();
    for n in 0..20 {
        assert_eq!(
            one.ask(&format!("/away/{n}")).await.0,
            "pitcrew; fwd=uri-miss; stored"
        );
    }
    redis.start_again().unwrap();
    eventually("a hit from L2", Duration::from_secs(2), || async {
        let path = unseen();
        one.ask(&path).await;
        // Whoever has not stored it itself can only have it from Redis.
        let two = Instance::new(&redis.url(), "demo", FRESH, "two");
        tokio::time::sleep(Duration::from_millis(20)).await;
        is_l2_hit(&two.ask(&path).await.0)
    })
    .await;
}

#[tokio::test]
async fn a_probe_tells_that_redis_is_away_and_back_without_any_request() {
    require!(redis);
    let mut redis = redis();
    let instance = Instance::new(&redis.url(), "demo", FRESH, "one");
    assert_eq!(instance.handle.probe_l2().await, Some(true));
    redis.kill();
    eventually("away", LONG, || async {
        instance.handle.probe_l2().await == Some(false)
    })
    .await;
    assert_eq!(instance.handle.stats().l2.unwrap().state, "down");
    redis.start_again().unwrap();
    eventually("back", LONG, || async {
        instance.handle.probe_l2().await == Some(true)
    })
    .await;
    assert_eq!(instance.handle.stats().l2.unwrap().state, "up");
}

#[tokio::test]
async fn a_purge_holds_for_what_every_instance_finds_and_across_restarts() {
    const TAGGED: Answers = Answers {
        headers: &[("cache-control", "max-age=60"), ("x-cache-tags", "orders")],
        takes: Duration::ZERO,
    };
    require!(redis);
    let redis = redis();
    for purge in [
        Purge::Tag("orders".into()),
        Purge::Path("/a".into()),
        Purge::Key("/a".into()),
        Purge::Prefix("/".into()),
        Purge::Pattern("?a".into()),
        Purge::Region("api".into()),
        Purge::All,
    ] {
        let namespace = format!("{purge:?}")
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>();
        let one = Instance::new(&redis.url(), &namespace, TAGGED, "one");
        one.ask("/a").await;
        entries(&redis, &namespace, 1).await;
        let report = one.handle.purge(purge.clone()).await.unwrap();
        assert_eq!(
            (report.local, report.l2),
            (PurgeState::Done, PurgeState::Done)
        );
        let restarted = Instance::new(&redis.url(), &namespace, TAGGED, "restarted");
        assert_eq!(restarted.ask("/a").await.1, "restarted0", "{purge:?}");
        restarted.handle.shutdown(LONG).await;
        let third = Instance::new(&redis.url(), &namespace, TAGGED, "third");
        assert!(
            is_l2_hit(&third.ask("/a").await.0),
            "what was made after the purge is found: {purge:?}"
        );
    }
}

#[tokio::test]
async fn c16_a_fill_that_began_before_a_purge_is_not_found_in_redis() {
    const SLOW: Answers = Answers {
        headers: FRESH.headers,
        takes: Duration::from_millis(300),
    };
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", SLOW, "one");
    let two = Instance::new(&redis.url(), "demo", FRESH, "two");
    let app = one.app.clone();
    let slow = tokio::spawn(
        app.oneshot(
            Request::builder()
                .uri("/")
                .header("host", "app.example")
                .header("accept-language", "")
                .body(Full::default())
                .unwrap(),
        ),
    );
    eventually("the handler runs", LONG, || async { one.calls() == 1 }).await;
    // The other instance purges: what the first has read before is stored nowhere.
    two.handle.purge(Purge::Path("/".into())).await.unwrap();
    slow.await.unwrap().unwrap();
    assert_eq!(one.ask("/").await.1, "one1");
    let three = Instance::new(&redis.url(), "demo", FRESH, "three");
    assert_ne!(three.ask("/").await.1, "one0");
}

#[tokio::test]
async fn c20_a_purge_while_redis_is_away_holds_after_it_is_back_and_the_instance_restarted() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/a").await;
    entries(&redis, "demo", 1).await;
    redis.pause();
    let report = one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    assert_eq!(
        (report.local, report.l2),
        (PurgeState::Done, PurgeState::Pending)
    );
    redis.resume();
    // While it is pending the old entry stands in Redis, and this instance does not read it.
    let (_, body) = one.ask("/a").await;
    assert_ne!(body, "one0", "an older entry came back from L2");
    eventually("the purge is confirmed", LONG, || async {
        one.handle.stats().l2.unwrap().pending_purges == 0
    })
    .await;
    let restarted = Instance::new(&redis.url(), "demo", FRESH, "restarted");
    assert_ne!(
        restarted.ask("/a").await.1,
        "one0",
        "an older entry came back from L2"
    );
}

#[tokio::test]
async fn c20_while_a_purge_is_pending_nothing_is_read_from_redis() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/a").await;
    entries(&redis, "demo", 1).await;
    // Redis takes no writes and answers reads: the old entry could be had.
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "1"])
        .unwrap();
    let report = one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    assert_eq!(report.l2, PurgeState::Pending);
    assert_eq!(one.ask("/a").await.1, "one1");
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "0"])
        .unwrap();
    eventually("the purge is confirmed", LONG, || async {
        one.handle.stats().l2.unwrap().pending_purges == 0
    })
    .await;
    let restarted = Instance::new(&redis.url(), "demo", FRESH, "restarted");
    assert_eq!(restarted.ask("/a").await.1, "restarted0");
}

#[tokio::test]
async fn c20_positions_that_are_lost_take_every_entry_with_them() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/a").await;
    entries(&redis, "demo", 1).await;
    one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    redis
        .command(&["DEL", "pitcrew:{demo}:purges:header"])
        .unwrap();
    // What makes the table anew counts all of before as purged.
    let two = Instance::new(&redis.url(), "demo", FRESH, "two");
    assert_eq!(two.ask("/b").await.1, "two0");
    assert_eq!(two.ask("/a").await.1, "two1");
}

/// Somebody wrote into what is ours: as above.
#[tokio::test]
async fn c12_purge_keys_that_are_damaged_are_made_anew_and_all_before_counts_as_purged() {
    require!(redis);
    let redis = redis();
    for damage in [
        &["HSET", "pitcrew:{demo}:purges:header", "counter", "abc"][..],
        &["HSET", "pitcrew:{demo}:purges:header", "all", ""],
        &["SET", "pitcrew:{demo}:purges:hard", "x"],
        &["APPEND", "pitcrew:{demo}:purges:soft", "x"],
    ] {
        let one = Instance::new(&redis.url(), "demo", FRESH, "one");
        one.ask("/a").await;
        entries(&redis, "demo", 1).await;
        redis.command(damage).unwrap();
        let two = Instance::new(&redis.url(), "demo", FRESH, "two");
        assert_eq!(two.ask("/a").await.1, "two0", "{damage:?}");
        let report = two.handle.purge(Purge::Path("/a".into())).await.unwrap();
        assert_eq!(report.l2, PurgeState::Done, "{damage:?}");
    }
}

/// Somebody wrote something else under a name of ours: of the purges nothing is known, so all counts as purged, and goes on.
#[tokio::test]
async fn c12_purge_keys_of_another_type_are_made_anew_and_all_before_counts_as_purged() {
    require!(redis);
    let redis = redis();
    for (part, other) in [
        ("header", "SET"),
        ("hard", "SADD"),
        ("soft", "SADD"),
        ("patterns", "SET"),
        ("stream", "SET"),
    ] {
        let namespace = format!("demo-{part}");
        let one = Instance::new(&redis.url(), &namespace, FRESH, "one");
        one.ask("/a").await;
        entries(&redis, &namespace, 1).await;
        one.handle.purge(Purge::Path("/b".into())).await.unwrap();
        let key = format!("pitcrew:{{{namespace}}}:purges:{part}");
        redis.command(&["DEL", &key]).unwrap();
        redis.command(&[other, &key, "foreign"]).unwrap();
        one.handle.purge(Purge::Path("/a".into())).await.unwrap();
        eventually("the purge is confirmed", LONG, || async {
            one.handle.stats().l2.unwrap().pending_purges == 0
        })
        .await;
        let two = Instance::new(&redis.url(), &namespace, FRESH, "two");
        assert_eq!(two.ask("/a").await.1, "two0", "{part}");
        assert_eq!(two.handle.stats().l2.unwrap().state, "up", "{part}");
    }
}

#[tokio::test]
async fn why_redis_failed_last_is_in_the_figures() {
    require!(redis);
    let redis = redis();
    let header = "pitcrew:{demo}:purges:header";
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/a").await;
    assert_eq!(one.handle.stats().l2.unwrap().last_error, None);
    redis.command(&["DEL", header]).unwrap();
    redis
        .command(&["HSET", header, "format", "another"])
        .unwrap();
    one.handle.purge(Purge::All).await.unwrap();
    let said = one.handle.stats().l2.unwrap().last_error.unwrap();
    assert!(
        said.contains("the purges of this namespace are of format another"),
        "{said}"
    );
}

#[tokio::test]
async fn a_shutdown_writes_what_is_queued() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    for n in 0..100 {
        one.ask(&format!("/{n}")).await;
    }
    one.handle.shutdown(LONG).await;
    entries(&redis, "demo", 100).await;
    assert_eq!(one.handle.stats().l2.unwrap().dropped_writes, 0);
}

#[test]
fn c12_an_instance_outlives_the_runtime_it_began_on() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            eventually(
                "another instance finds what is stored on this runtime",
                LONG,
                || async {
                    let path = unseen();
                    one.ask(&path).await;
                    let two = Instance::new(&redis.url(), "demo", FRESH, "two");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    is_l2_hit(&two.ask(&path).await.0)
                },
            )
            .await;
        });
    }
}

#[test]
fn a_store_connects_late_and_says_what_it_cannot_do() {
    assert!(RedisStore::connect("redis://127.0.0.1:1/0").is_ok());
    assert!(RedisStore::connect("rediss://127.0.0.1:1/0").is_ok());
    let error = RedisStore::connect("rediss://:secret@127.0.0.1:1/0#insecure")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("TLS") && !error.contains("secret"),
        "{error}"
    );
    let error = RedisStore::connect("http://u:secret@x")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("redis://") && !error.contains("secret"),
        "{error}"
    );
    let store = RedisStore::connect("redis://:secret@127.0.0.1/0").unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}

/// A certificate authority of this test's own, and a key pair that it signed for `name`; all as PEM texts.
fn certificates(name: &str) -> (String, String, String) {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = parameters.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(parameters, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn over_tls_redis_is_verified_and_the_process_default_provider_stays_untouched() {
    require!(redis);
    let (authority, certificate, key) = certificates("localhost");
    let (redis, port) = testing::redis_with_tls(&certificate, &key, &authority);
    let plain = redis.url();
    let secret = plain.split_once("//").unwrap().1.split_once('@').unwrap().0;
    let url = format!("rediss://{secret}@localhost:{port}/0");
    let instance = |store: RedisStore| {
        let (layer, handle) = CacheLayer::builder().redis(store).build();
        (layer, handle)
    };
    let trusting = RedisStore::connect(&url).unwrap();
    let trusting = trusting.trust(authority.as_bytes()).unwrap();
    let (_layer, handle) = instance(trusting);
    assert_eq!(handle.probe_l2().await, Some(true));

    // The system's roots do not know this authority; and a name that the certificate does not carry is refused.
    let (_layer, handle) = instance(RedisStore::connect(&url).unwrap());
    assert_eq!(handle.probe_l2().await, Some(false));
    let elsewhere = url.replace("localhost", "127.0.0.1");
    let elsewhere = RedisStore::connect(&elsewhere).unwrap();
    let (_layer, handle) = instance(elsewhere.trust(authority.as_bytes()).unwrap());
    assert_eq!(handle.probe_l2().await, Some(false));
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn rows_that_one_instance_fetched_another_finds() {
    require!(redis);
    let redis = redis();
    let instance = || {
        let store = RedisStore::connect(&redis.url()).unwrap().namespace("rows");
        let region = pitcrew::cache::Region::queries().ttl(Duration::from_secs(60));
        CacheLayer::builder().region(region).redis(store).build().1
    };
    let ask = async |handle: &pitcrew::CacheHandle, row: i32| {
        let fetch = async || Ok::<_, Infallible>(vec![row]);
        let sql = "SELECT a FROM t WHERE b = $1";
        handle.query("queries", sql, &[1], fetch).await.0.unwrap()
    };
    let (one, two) = (instance(), instance());
    assert_eq!(ask(&one, 1).await, [1]);
    entries(&redis, "rows", 1).await;
    assert_eq!(ask(&two, 2).await, [1], "from Redis");
    one.purge(Purge::Tag("table:public.t".into()))
        .await
        .unwrap();
    let third = instance();
    assert_eq!(ask(&third, 3).await, [3], "purged for every instance");
}

/// A HEAD and a range are answered from the whole in Redis, as they are from the one in this process.
#[tokio::test]
async fn a_head_and_a_range_are_found_in_redis() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    hears(&one).await;
    let whole = one.ask("/").await.1;
    entries(&redis, "demo", 1).await;
    for (method, range, status, body) in [
        ("HEAD", None, 200, ""),
        ("GET", Some("bytes=1-2"), 206, &whole[1..3]),
    ] {
        let two = Instance::new(&redis.url(), "demo", FRESH, "two");
        hears(&two).await;
        let mut request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "app.example");
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.body(Full::default()).unwrap();
        let response = two.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        let said = response.headers()["cache-status"].to_str().unwrap();
        assert!(is_l2_hit(said), "{said}");
        let found = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((&found[..], two.calls()), (body.as_bytes(), 0));
    }
}

/// What was there before is no newer for having waited for it.
#[tokio::test]
async fn who_waits_for_one_that_looks_into_redis_is_given_nothing_that_is_too_old_for_it() {
    require!(redis);
    let redis = redis();
    let old = Answers {
        headers: &[("cache-control", "max-age=60"), ("age", "50")],
        takes: Duration::ZERO,
    };
    let [one, two] = ["one", "two"].map(|name| Instance::new(&redis.url(), "demo", old, name));
    for instance in [&one, &two] {
        hears(instance).await;
    }
    one.ask("/").await;
    entries(&redis, "demo", 1).await;
    let waits = async {
        let request = Request::get("/")
            .header("host", "app.example")
            .header("cache-control", "max-age=5");
        let request = request.body(Full::default()).unwrap();
        let response = two.app.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    // The first that is polled leads.
    let ((status, _), waited) = tokio::join!(two.ask("/"), waits);
    assert!(is_l2_hit(&status), "{status}");
    assert_eq!(&waited[..], b"two0");
}

/// The rights on the page of `RedisStore` are enough: nothing is refused.
#[tokio::test]
async fn a_user_with_the_rights_that_the_page_names_is_enough() {
    require!(redis);
    let redis = redis();
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../middleware/src/cache/l2/connect.rs"
    ));
    let page = page.unwrap().replace("///", "");
    let (_, rights) = page.split_once("ACL SETUSER pitcrew on >PASSWORD").unwrap();
    let (rights, _) = rights.split_once("```").unwrap();
    let mut command = vec!["ACL", "SETUSER", "pitcrew", "on", ">secret"];
    command.extend(rights.split_whitespace());
    redis.command(&command).unwrap();
    let (_, server) = redis
        .url()
        .split_once('@')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let url = format!("redis://pitcrew:secret@{server}");
    let [one, two] = ["one", "two"].map(|name| Instance::new(&url, "default", TAGGED, name));
    for instance in [&one, &two] {
        hears(instance).await;
    }
    one.ask("/a").await;
    entries(&redis, "default", 1).await;
    assert!(is_l2_hit(&two.ask("/a").await.0));
    purges_are_heard(&one, &two).await;
    for purge in [
        Purge::Pattern("/a*".into()),
        Purge::Tag("orders".into()),
        Purge::All,
    ] {
        one.handle.purge_softly(purge.clone()).await.unwrap();
        let report = one.handle.purge(purge).await.unwrap();
        assert_eq!(report.l2, PurgeState::Done);
    }
    // Read anew, as after a connection that was lost.
    let ends = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    redis.command(&ends).unwrap();
    hears(&two).await;
    for n in 0..64 {
        one.ask(&format!("/many/{n}")).await;
    }
    let log = redis.command(&["ACL", "LOG"]).unwrap();
    assert!(log.trim().is_empty(), "{log}");
}

/// While Redis takes no purges, as many as come: what is stored after each is given, and Redis is read again afterwards.
#[tokio::test]
async fn c20_however_many_changes_come_while_redis_is_away_this_process_caches_on() {
    require!(redis);
    let redis = redis();
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    one.ask("/kept").await;
    entries(&redis, "demo", 1).await;
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "1"])
        .unwrap();
    for n in 0..9_000 {
        one.post(&format!("/changed/{n}")).await;
    }
    let before = one.ask("/kept").await.1;
    let (status, body) = one.ask("/kept").await;
    assert!(
        status.starts_with("pitcrew; hit") && !is_l2_hit(&status),
        "{status}"
    );
    assert_eq!(body, before);
    one.post("/kept").await;
    assert_ne!(one.ask("/kept").await.1, before, "a change of it counts");
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "0"])
        .unwrap();
    eventually("the purges are confirmed", LONG, || async {
        one.handle.stats().l2.unwrap().pending_purges == 0
    })
    .await;
    let two = Instance::new(&redis.url(), "demo", FRESH, "two");
    assert_eq!(
        two.ask("/kept").await.1,
        "two0",
        "what was stored meanwhile went nowhere else"
    );
    eventually("Redis is read again", LONG, || async {
        one.ask("/again").await;
        let two = Instance::new(&redis.url(), "demo", FRESH, "two");
        is_l2_hit(&two.ask("/again").await.0)
    })
    .await;
}

/// The handler takes an answer back; Redis does not bring it in again.
#[tokio::test]
async fn what_the_newest_answer_takes_back_is_not_found_in_redis_either() {
    require!(redis);
    let redis = redis();
    let is_private = Arc::new(AtomicBool::new(false));
    let instance = || {
        let (store, is_private) = (
            RedisStore::connect(&redis.url()).unwrap().namespace("demo"),
            is_private.clone(),
        );
        let handler = service_fn(move |_: Request<Full<Bytes>>| {
            let control = match is_private.load(Ordering::SeqCst) {
                true => "private",
                false => "public, max-age=600",
            };
            let response = Response::builder()
                .header("cache-control", control)
                .header("vary", "accept-language")
                .body(Full::new(Bytes::from(control)));
            async move { Ok::<_, Infallible>(response.unwrap()) }
        });
        CacheLayer::builder().redis(store).build().0.layer(handler)
    };
    let one = instance();
    assert_eq!(answer_of(&one, &[]).await, "public, max-age=600");
    entries(&redis, "demo", 2).await;
    is_private.store(true, Ordering::SeqCst);
    assert_eq!(
        answer_of(&one, &[("cache-control", "no-cache")]).await,
        "private"
    );
    entries(&redis, "demo", 0).await;
    let two = instance();
    assert_eq!(answer_of(&two, &[("cookie", "a=b")]).await, "private");
    assert_eq!(answer_of(&two, &[]).await, "private");
}

/// The content of what a service answers to a GET of `/` with these fields.
async fn answer_of<S, R>(service: &S, headers: &[(&'static str, &'static str)]) -> Bytes
where
    S: tower::Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible> + Clone,
    R: axum::body::HttpBody<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let mut request = Request::get("/").header("host", "app.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::default()).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}
