//! Requests of a load test of one's own: left out where the app says so and the secret is right, counted otherwise.

#![allow(clippy::unwrap_used)]

#[path = "support/latency.rs"]
mod latency;

use std::time::Duration;

use http::Request;
use latency::{ask, get};
use pitcrew::{
    LatencyHandle, LatencyLayer,
    clock::Clock,
    latency::{LOAD_RUN_HEADER, LoadRun, MAX_LOAD_MARK_BYTES, MAX_LOAD_RUNS, MIN_LOAD_MARK_BYTES},
};

const MARK: &str = "7.0123456789abcdef0123456789abcdef";
const MS: Duration = Duration::from_millis(1);

fn marked(mark: &str) -> Request<()> {
    let mut request = get("/");
    let value = mark.parse().unwrap();
    request.headers_mut().insert(LOAD_RUN_HEADER, value);
    request
}

fn built(clock: &Clock, leave_out: bool) -> (LatencyLayer, LatencyHandle) {
    LatencyLayer::builder()
        .clock(clock.clone())
        .leave_out_load_tests(leave_out)
        .build()
}

fn counted(handle: &LatencyHandle) -> u64 {
    let series = &handle.snapshot().series;
    series.iter().map(|series| series.count).sum()
}

/// One test, for the runs are known in the whole process.
#[test]
fn a_load_test_is_left_out_while_it_lasts_and_nobody_hides_behind_its_header() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock, true);
    let (other, other_handle) = built(&clock, false);
    let ask_both = |request: fn() -> Request<()>| {
        ask(&clock, &layer, request(), MS, 200);
        ask(&clock, &other, request(), MS, 200);
        (counted(&handle), counted(&other_handle))
    };
    // Nobody knows the run so far.
    assert_eq!(ask_both(|| marked(MARK)), (1, 1));
    let run = LoadRun::begin(MARK).unwrap();
    assert_eq!(ask_both(|| marked(MARK)), (1, 2));
    for request in [
        || get("/"),
        || marked(""),
        || marked("7"),
        || marked("7.0123456789abcdef0123456789abcdee"),
        || marked("7.0123456789abcdef0123456789abcdef0"),
        || marked("0123456789abcdef0123456789abcdef"),
    ] {
        let before = counted(&handle);
        ask_both(request);
        assert_eq!(counted(&handle), before + 1);
    }
    // An aborted request of the run is none either.
    let aborted = handle.snapshot().aborted;
    {
        use std::{convert::Infallible, future::pending};
        use tower::{Layer, ServiceExt, service_fn};
        let app = layer.layer(service_fn(|_: Request<()>| {
            pending::<Result<http::Response<http_body_util::Empty<bytes::Bytes>>, Infallible>>()
        }));
        drop(app.oneshot(marked(MARK)));
    }
    assert_eq!(handle.snapshot().aborted, aborted);
    drop(run);
    let before = counted(&handle);
    ask_both(|| marked(MARK));
    assert_eq!(counted(&handle), before + 1, "the run is over");

    // What could be guessed is no mark, and so many runs are known at one time.
    assert!(LoadRun::begin(&"x".repeat(MIN_LOAD_MARK_BYTES - 1)).is_none());
    assert!(LoadRun::begin(&"x".repeat(MAX_LOAD_MARK_BYTES + 1)).is_none());
    let runs: Vec<_> = (0..MAX_LOAD_RUNS)
        .map(|_| LoadRun::begin(MARK).unwrap())
        .collect();
    assert!(LoadRun::begin(MARK).is_none());
    drop(runs);
    assert!(LoadRun::begin(MARK).is_some());
}
