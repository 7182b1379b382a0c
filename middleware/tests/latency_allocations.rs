//! What the latency layer allocates: nothing of its own once it is warm, measured by the counting allocator itself.

#![allow(clippy::unwrap_used, clippy::type_complexity)]

use std::{
    alloc::{GlobalAlloc, Layout as AllocLayout, System},
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use pitcrew::{LatencyLayer, memory::CountingAlloc};
use tower::{Layer, Service, service_fn};

/// Counts calls of this thread beneath the layer's own allocator, so that the test reads what that one passes on.
struct Counted;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: AllocLayout) -> *mut u8 {
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: AllocLayout) {
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAlloc<Counted> = CountingAlloc::new(Counted);

/// A future and a body of its own that pass everything through.
#[derive(Clone)]
struct Noop<S>(S);

struct NoopBody<R>(R);

impl<R: Body + Unpin> Body for NoopBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

impl<S> Service<Request<()>> for Noop<S>
where
    S: Service<
            Request<()>,
            Response = Response<Full<Bytes>>,
            Error = Infallible,
            Future = Ready<Result<Response<Full<Bytes>>, Infallible>>,
        >,
{
    type Response = Response<NoopBody<Full<Bytes>>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(
            self.0
                .call(request)
                .into_inner()
                .map(|response| response.map(NoopBody)),
        )
    }
}

fn ask<S, R>(service: &mut S, paths: usize)
where
    S: Service<Request<()>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..paths {
        let mut request = Request::new(());
        let status = http::HeaderValue::from_static(["200", "404", "500"][number % 3]);
        request.headers_mut().insert("status", status);
        assert!(service.poll_ready(&mut cx).is_ready());
        let answer = pin!(service.call(request)).poll(&mut cx);
        let Poll::Ready(Ok(response)) = answer else {
            panic!("the handler never waits");
        };
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            assert!(frame.is_ok());
        }
    }
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn handler()
-> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible, Future = Answer>
+ Clone {
    service_fn(|request: Request<()>| {
        let mut response = Response::new(Full::new(Bytes::from_static(b"answer")));
        let status = request.headers()["status"].as_bytes();
        *response.status_mut() = http::StatusCode::from_bytes(status).unwrap();
        ready(Ok(response))
    })
}

fn calls(act: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    act();
    CALLS.with(Cell::get) - before
}

#[test]
fn a_warm_layer_allocates_nothing_of_its_own() {
    const REQUESTS: usize = 3_000;
    let mut noop = Noop(handler());
    let (layer, handle) = LatencyLayer::builder().build();
    let mut measured = layer.layer(handler());
    ask(&mut noop, REQUESTS);
    // Every bucket that the times below may fall in has to be met: a slow machine meets more of them, so the least of some
    // rounds is what counts.
    let floor = calls(|| ask(&mut noop, REQUESTS));
    assert!(floor > 0, "the allocator counts");
    let least = (0..20)
        .map(|_| calls(|| ask(&mut measured, REQUESTS)))
        .min()
        .unwrap();
    assert_eq!(least, floor, "beyond a layer that does nothing");
    assert_eq!(handle.snapshot().requests, 20 * REQUESTS as u64);
}
