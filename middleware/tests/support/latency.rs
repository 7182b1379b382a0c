//! What the tests of the latency layer share: a layer on a manual clock, and requests that take a time that is set.

#![allow(dead_code, unreachable_pub, reason = "each user needs a part")]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{LatencyHandle, LatencyLayer, clock::Clock};
use tower::{Layer, ServiceExt, service_fn};

/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A layer whose routes are the paths.
pub fn built(clock: &Clock) -> (LatencyLayer, LatencyHandle) {
    LatencyLayer::builder()
        .clock(clock.clone())
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build()
}

/// A request without a body.
pub fn get(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

/// Asks for something that takes so long and answers with such a status, without a body.
pub fn ask(clock: &Clock, layer: &LatencyLayer, request: Request<()>, took: Duration, status: u16) {
    let app = layer.layer(service_fn(|_: Request<()>| {
        clock.advance(took);
        let response = Response::builder().status(status);
        ready(Ok::<_, Infallible>(
            response.body(Empty::<Bytes>::new()).unwrap(),
        ))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(app.oneshot(request)).as_mut().poll(&mut cx).is_ready());
}
