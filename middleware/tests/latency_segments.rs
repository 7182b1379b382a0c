//! Where the time goes, N+1, objectives and slow routes, through the layer: what an app sees.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use pitcrew::{
    LatencyHandle, LatencyLayer,
    clock::Clock,
    latency::{
        CACHE, DATABASE, LatencyBuilder, MAX_OBJECTIVES, MAX_TARGETS, NPlusOne, Objective,
        ObjectiveState, POOL, SlowBy, Target, Window, in_request, segment, statement,
    },
};
use tower::{Layer, ServiceExt, service_fn};

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn builder(clock: &Clock) -> LatencyBuilder {
    LatencyLayer::builder()
        .clock(clock.clone())
        .route_label(|parts| Some(parts.uri.path().to_owned()))
}

fn ok() -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("done")))
}

fn ms(clock: &Clock, ms: u64) {
    clock.advance(Duration::from_millis(ms));
}

/// (name, mean ms) of the only route, by name, and the rest.
fn parts(handle: &LatencyHandle) -> (Vec<(&'static str, f64)>, f64) {
    let report = handle.where_time_goes(Window::SinceStart);
    assert_eq!(report.routes.len(), 1, "{report:?}");
    let route = &report.routes[0];
    let mut parts: Vec<_> = route
        .parts
        .iter()
        .map(|part| (part.name, part.mean_ms))
        .collect();
    parts.sort_by_key(|part| part.0);
    let sum: f64 = parts.iter().map(|part| part.1).sum();
    assert!((sum + route.rest_mean_ms - route.mean_ms).abs() < 1e-9);
    (parts, route.rest_mean_ms)
}

/// A frame and the end, each of which waits for the database.
struct Streamed {
    clock: Clock,
    left: u32,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        segment(DATABASE).measure(|| ms(&self.clock, 8));
        ms(&self.clock, 1);
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"row")))))
    }
}

#[tokio::test]
async fn parts_and_rest_are_the_whole_from_the_call_to_the_end_of_the_body() {
    let clock = Clock::manual();
    let (layer, handle) = builder(&clock).build();
    let time = clock.clone();
    let app = layer.layer(service_fn(move |_: Request<()>| {
        let clock = time.clone();
        async move {
            segment(POOL).run(async { ms(&clock, 20) }).await;
            segment(CACHE).measure(|| ms(&clock, 2));
            tokio::task::yield_now().await;
            ms(&clock, 5);
            let body = Streamed { clock, left: 2 };
            Ok::<_, Infallible>(Response::new(body))
        }
    }));
    let response = app.oneshot(request("/rows")).await.unwrap();
    // The server was busy with others.
    ms(&clock, 3);
    response.into_body().collect().await.unwrap();
    assert_eq!(
        parts(&handle),
        (vec![(CACHE, 2.0), (DATABASE, 24.0), (POOL, 20.0)], 11.0)
    );
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.total().mean_ms, 57.0);
    let verdict = handle
        .where_time_goes(Window::OneHour)
        .routes
        .remove(0)
        .verdict;
    assert!(
        verdict.starts_with("GET /rows takes 57.0 ms on average in the last 60 min: 42 % the database (24.0 ms), 35 % waiting for a connection"),
        "{verdict}"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_what_was_open() {
    let clock = Clock::manual();
    let (layer, handle) = builder(&clock).build();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        segment(DATABASE).run(pending::<()>()).await;
        ok()
    }));
    let mut waiting = Box::pin(app.oneshot(request("/slow")));
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    ms(&clock, 40);
    drop(waiting);
    assert_eq!(parts(&handle), (vec![(DATABASE, 40.0)], 0.0));
    assert_eq!(handle.snapshot().aborted, 1);
}

#[tokio::test]
async fn requests_without_a_segment_are_not_in_the_report() {
    let clock = Clock::manual();
    let (layer, handle) = builder(&clock).build();
    let app = layer.layer(service_fn(|_: Request<()>| async { ok() }));
    app.oneshot(request("/plain")).await.unwrap();
    assert!(handle.where_time_goes(Window::SinceStart).routes.is_empty());
    assert!(handle.n_plus_one(Window::SinceStart).findings.is_empty());
}

#[tokio::test]
async fn two_layers_and_concurrent_requests_do_not_mix() {
    let clock = Clock::manual();
    let (outer, outer_handle) = builder(&clock).build();
    let (inner, inner_handle) = builder(&clock).build();
    let time = clock.clone();
    let handler = service_fn(move |request: Request<()>| {
        let clock = time.clone();
        let name: &'static str = if request.uri().path() == "/a" {
            "a"
        } else {
            "b"
        };
        async move {
            segment(name)
                .run(async {
                    for _ in 0..3 {
                        ms(&clock, 1);
                        tokio::task::yield_now().await;
                    }
                })
                .await;
            ok()
        }
    });
    let app = outer.layer(inner.layer(handler));
    let (one, two) = tokio::join!(
        app.clone().oneshot(request("/a")),
        app.clone().oneshot(request("/b"))
    );
    for response in [one, two] {
        response.unwrap().into_body().collect().await.unwrap();
    }
    // Those of the inner layer, which is nearer to the handler.
    assert!(
        outer_handle
            .where_time_goes(Window::SinceStart)
            .routes
            .is_empty()
    );
    let report = inner_handle.where_time_goes(Window::SinceStart);
    assert_eq!(report.routes.len(), 2);
    for route in report.routes {
        let names: Vec<_> = route.parts.iter().map(|part| part.name).collect();
        assert_eq!(names, [&route.route[1..]]);
    }
}

#[tokio::test]
async fn spawned_work_is_carried_by_in_request() {
    let clock = Clock::manual();
    let (layer, handle) = builder(&clock).build();
    let time = clock.clone();
    let app = layer.layer(service_fn(move |_: Request<()>| {
        let clock = time.clone();
        async move {
            let task = tokio::spawn(in_request(async move {
                segment("spawned").run(async { ms(&clock, 30) }).await;
            }));
            task.await.unwrap();
            ok()
        }
    }));
    let response = app.oneshot(request("/a")).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(parts(&handle), (vec![("spawned", 30.0)], 0.0));
}

const LIST: &str = "SELECT id FROM orders WHERE customer = $1";
const LINES: &str = "SELECT part FROM lines WHERE order_id = $1";

/// Runs `LIST` once and `LINES` `times` times, with parameters that are all the same or not, 1 ms each.
async fn served(app: &LatencyLayer, clock: &Clock, path: &str, times: u32, same: bool) {
    let clock = clock.clone();
    let handler = service_fn(move |_: Request<()>| {
        let clock = clock.clone();
        async move {
            statement(LIST)
                .parameters(&7)
                .run(async { ms(&clock, 1) })
                .await;
            for at in 0..times {
                let order = if same { 7 } else { at };
                let parameters: &[&(dyn std::fmt::Debug + Sync)] = &[&order];
                statement(LINES)
                    .parameters(parameters)
                    .run(async { ms(&clock, 1) })
                    .await;
            }
            ok()
        }
    });
    let response = app.layer(handler).oneshot(request(path)).await.unwrap();
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn n_plus_one_is_named_with_route_statement_and_count_and_clean_routes_are_not() {
    let clock = Clock::manual();
    let settings = NPlusOne::default()
        .allow_route("/export/*")
        .allow_statement("*from allowed*");
    let (layer, handle) = builder(&clock).n_plus_one(settings).build();
    for at in 0..20 {
        served(&layer, &clock, "/orders", 40 + at, false).await;
        served(&layer, &clock, "/same", 6, true).await;
        // Clean: four times; allowed; and often, but in few requests.
        served(&layer, &clock, "/four", 4, false).await;
        served(&layer, &clock, "/export/{id}", 40, false).await;
        served(
            &layer,
            &clock,
            "/seldom",
            if at < 4 { 40 } else { 1 },
            false,
        )
        .await;
    }
    let report = handle.n_plus_one(Window::FifteenMinutes);
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|row| {
            (
                row.route.as_str(),
                row.requests,
                row.executions_max,
                row.same_parameters,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/orders", 20, 59, Some(false)),
            ("/same", 20, 6, Some(true))
        ]
    );
    assert_eq!(
        report.findings[0].verdict,
        "GET /orders runs `select part from lines where order_id = ?` 50 times a request (at most 59) with other parameters each time, \
         in 20 of 20 requests in the last 15 min, 49.5 ms a request: ask for all rows with one, by a JOIN or `= ANY($1)`"
    );
    assert!(
        report.findings[1]
            .verdict
            .contains("with the same parameters each time")
            && report.findings[1]
                .verdict
                .ends_with("keep its rows for the request"),
        "{}",
        report.findings[1].verdict
    );
    assert_eq!(report.statements, 2);
    let times = handle.where_time_goes(Window::FifteenMinutes);
    let orders = times
        .routes
        .iter()
        .find(|row| row.route == "/orders")
        .unwrap();
    assert_eq!((orders.statements_mean, orders.statements_max), (50.5, 60));
}

#[tokio::test]
async fn a_slow_route_is_named_by_its_target_its_objective_and_its_past() {
    let clock = Clock::manual();
    let target = Target::new("/orders", 0.95, Duration::from_millis(50)).unwrap();
    let fast = Objective::latency("/orders", Duration::from_millis(50), 0.99).unwrap();
    let up = Objective::availability("*", 0.999).unwrap();
    let (layer, handle) = builder(&clock)
        .target(target)
        .objective(fast)
        .objective(up)
        .build();
    let serve = async |took: u64| {
        let time = clock.clone();
        let handler = service_fn(move |_: Request<()>| {
            ms(&time, took);
            async { ok() }
        });
        for _ in 0..200 {
            let response = layer
                .layer(handler.clone())
                .oneshot(request("/orders"))
                .await;
            response.unwrap().into_body().collect().await.unwrap();
        }
    };
    serve(20).await;
    let calm = handle.slow_endpoints(Window::FiveMinutes);
    assert!(calm.findings.is_empty(), "{calm:?}");
    assert_eq!(calm.young.len(), 1);
    clock.advance(Duration::from_secs(300));
    serve(90).await;
    let report = handle.slow_endpoints(Window::FiveMinutes);
    let kinds: Vec<_> = report
        .findings
        .iter()
        .map(|found| match &found.by {
            SlowBy::Target { .. } => "target",
            SlowBy::Objective => "objective",
            SlowBy::Change { .. } => "change",
            _ => "?",
        })
        .collect();
    assert_eq!(kinds, ["target", "change", "objective"], "{report:?}");
    assert!(
        report.findings[1].verdict.contains("in the 5 min before"),
        "{report:?}"
    );
    let states: Vec<_> = handle
        .objectives()
        .iter()
        .map(|report| report.state)
        .collect();
    assert_eq!(states, [ObjectiveState::Page, ObjectiveState::Ok]);
}

/// What the same hour of yesterday was like is remembered, in coarser buckets; the window before had no request.
#[tokio::test]
async fn a_route_is_compared_with_the_same_hour_yesterday() {
    for (then, now, expected) in [(20, 90, 1), (20, 20, 0), (90, 20, 0)] {
        let clock = Clock::manual();
        let (layer, handle) = builder(&clock).build();
        clock.advance(Duration::from_secs(1_800));
        serve_many(&layer, &clock, then).await;
        handle.fold();
        for _ in 0..24 {
            clock.advance(Duration::from_secs(3_600));
            handle.fold();
        }
        serve_many(&layer, &clock, now).await;
        let report = handle.slow_endpoints(Window::FiveMinutes);
        assert_eq!(report.findings.len(), expected, "{then} {now}: {report:?}");
        assert!(report.young.is_empty(), "{report:?}");
        for found in report.findings {
            assert!(
                found
                    .verdict
                    .contains("at the same hour yesterday (n = 200 and 200"),
                "{}",
                found.verdict
            );
        }
    }
}

/// 200 requests, each of which takes about as many milliseconds.
async fn serve_many(layer: &LatencyLayer, clock: &Clock, took: u64) {
    for at in 0..200 {
        let time = clock.clone();
        let handler = service_fn(move |_: Request<()>| {
            ms(&time, took + at % 7);
            async { ok() }
        });
        let response = layer.layer(handler).oneshot(request("/orders")).await;
        response.unwrap().into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn failures_spend_the_budget_of_availability() {
    let clock = Clock::manual();
    let (layer, handle) = builder(&clock)
        .objective(Objective::availability("GET /a*", 0.999).unwrap())
        .build();
    let app = layer.layer(service_fn(|request: Request<()>| async move {
        let mut response = ok()?;
        if request.uri().path() == "/a/bad" {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        Ok::<_, Infallible>(response)
    }));
    for at in 0..200 {
        let path = if at % 20 == 0 { "/a/bad" } else { "/a" };
        let response = app.clone().oneshot(request(path)).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    app.oneshot(request("/b"))
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    let report = handle.objectives().remove(0);
    assert_eq!(
        (report.requests, report.bad, report.state),
        (200, 10, ObjectiveState::Page)
    );
    assert!(
        report.verdict.contains("10 of 200 requests failed"),
        "{}",
        report.verdict
    );
}

/// Who waits for another request that fetches the same waits for the cache; who fetches it does not.
#[cfg(feature = "cache")]
#[tokio::test]
async fn a_wait_for_another_requests_answer_is_the_caches() {
    use pitcrew::{CacheLayer, cache::Region};

    let clock = Clock::manual();
    let (layer, handle) = builder(&clock).build();
    let (cache, cached) = CacheLayer::builder()
        .region(Region::api().ttl(Duration::from_secs(60)))
        .build();
    let (go, gate) = tokio::sync::watch::channel(false);
    let handler = service_fn(move |_: Request<Full<Bytes>>| {
        let mut gate = gate.clone();
        async move {
            segment(DATABASE)
                .run(async { gate.wait_for(|open| *open).await.map(|_| ()) })
                .await
                .unwrap();
            ok()
        }
    });
    let app = layer.layer(cache.layer(handler));
    let ask = || async {
        let request = request("/a").map(|()| Full::default());
        let response = app.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    };
    let (leads, waits) = (ask(), ask());
    let mut both = pin!(async { tokio::join!(leads, waits) });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(both.as_mut().poll(&mut cx).is_pending());
    ms(&clock, 30);
    go.send(true).unwrap();
    both.await;
    assert_eq!(cached.stats().hits, 1);
    // 30 ms each, one in the database and one for the cache.
    assert_eq!(parts(&handle), (vec![(CACHE, 15.0), (DATABASE, 15.0)], 0.0));
}

#[test]
fn more_objectives_or_targets_than_the_bound_are_refused_or_left_out() {
    let objective = Objective::availability("*", 0.5).unwrap();
    let target = Target::new("*", 0.5, Duration::from_secs(1)).unwrap();
    let objectives = (0..=MAX_OBJECTIVES).fold(LatencyLayer::builder(), |builder, _| {
        builder.objective(objective.clone())
    });
    let targets = (0..=MAX_TARGETS).fold(LatencyLayer::builder(), |builder, _| {
        builder.target(target.clone())
    });
    let (_layer, handle) = (0..=MAX_OBJECTIVES)
        .fold(LatencyLayer::builder(), |builder, _| {
            builder.objective(objective.clone())
        })
        .build();
    assert_eq!(handle.objectives().len(), MAX_OBJECTIVES);
    for (built, wanted) in [
        (objectives.try_build(), "at most 32 objectives, not 33"),
        (targets.try_build(), "at most 64 targets, not 65"),
    ] {
        let error = built.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_segment_outside_of_any_request_is_only_what_it_runs() {
    let mut alone = pin!(segment("a").run(async { 7 }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(alone.as_mut().poll(&mut cx), Poll::Ready(7)));
    let mut alone = pin!(statement("SELECT 1").parameters("x").run(async { 8 }));
    assert!(matches!(alone.as_mut().poll(&mut cx), Poll::Ready(8)));
}

#[test]
fn what_names_n_plus_one_is_refused_or_clamped_and_never_a_panic() {
    let with = |settings: NPlusOne| LatencyLayer::builder().n_plus_one(settings);
    let many = (0..65).fold(NPlusOne::default(), |settings, at| {
        settings.allow_route(&format!("/{at}"))
    });
    for (settings, wanted) in [
        (NPlusOne::default().share(f64::NAN), "0 to 1, not NaN"),
        (NPlusOne::default().share(-0.5), "0 to 1, not -0.5"),
        (NPlusOne::default().share(7.0), "0 to 1, not 7"),
        (NPlusOne::default().allow_route(" "), "not empty"),
        (
            NPlusOne::default().allow_route(&"a".repeat(1_025)),
            "at most 1024 bytes",
        ),
        (NPlusOne::default().allow_statement(""), "not empty"),
        (many, "at most 64 routes and as many statements"),
    ] {
        let error = with(settings.clone()).try_build().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        drop(with(settings).build());
    }
    assert!(with(NPlusOne::default()).try_build().is_ok());
}
