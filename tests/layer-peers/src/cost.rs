//! What a request costs: a caller that polls by itself, no runtime in between.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pitcrew::{LatencyLayer, MemoryLayer};
use tower::{Layer, Service};

use crate::contenders;
use crate::noop::NoopLayer;

/// Requests before it is counted: whatever is made once is made.
const WARM_UP: usize = 2_000;

fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists, the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

/// Through a table, as a router or server that boxes its futures does: else the compiler makes one function of caller, layer and
/// handler, and a layer that does nothing is not there at all.
fn ready<T>(future: Pin<&mut dyn Future<Output = T>>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match std::hint::black_box(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the handler never waits"),
    }
}

/// A function of its own, as behind a router's table.
#[inline(never)]
fn called<S: Service<Request<()>>>(service: &mut S, request: Request<()>) -> S::Future {
    service.call(request)
}

/// Reads an answer to its end; the body through a table too.
fn drain<E: std::fmt::Debug>(body: Pin<&mut dyn Body<Data = Bytes, Error = E>>) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut body = std::hint::black_box(body);
    let mut bytes = 0;
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        bytes += frame
            .expect("a body from memory")
            .into_data()
            .map_or(0, |data| data.len());
    }
    bytes
}

/// `count` requests after the warm-up; callgrind counts inside [`counted`] alone.
pub(crate) fn service(layer: &str, count: usize) -> Option<()> {
    let handler = contenders::handler();
    match layer {
        "none" => warm(handler, count),
        "noop" => warm(NoopLayer.layer(handler), count),
        "latency" => {
            let (layer, _handle) = LatencyLayer::builder().build();
            warm(layer.layer(handler), count);
        }
        "latency-leaving-out" => {
            let built = LatencyLayer::builder().leave_out_load_tests(true).build();
            let (layer, _handle) = built;
            warm(layer.layer(handler), count);
        }
        "memory" => {
            let (layer, _handle) = MemoryLayer::builder().build();
            warm(layer.layer(handler), count);
        }
        _ => return None,
    }
    Some(())
}

fn warm<S, B>(mut service: S, count: usize)
where
    S: Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug>,
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let template = contenders::request();
    ask(&mut service, &template, WARM_UP);
    counted(&mut service, &template, count);
}

/// What is toggled on in callgrind: neither the warm-up nor a clock's calibration is in it.
#[inline(never)]
fn counted<S, B>(service: &mut S, template: &Request<()>, count: usize)
where
    S: Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug>,
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    ask(service, template, count);
}

#[inline(always)]
fn ask<S, B>(service: &mut S, template: &Request<()>, count: usize)
where
    S: Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug>,
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..count {
        let request = template.clone();
        assert!(service.poll_ready(&mut cx).is_ready());
        let response = ready(pin!(called(service, request))).expect("an answer");
        std::hint::black_box(drain(pin!(response.into_body())));
    }
}

/// CPU nanoseconds a request of the whole process, background threads included.
pub(crate) fn router(layer: &str, threads: usize, count: usize) -> Option<f64> {
    let (router, keep) = contenders::router(layer)?;
    let template = contenders::request();
    route(&mut router.clone(), &template, WARM_UP);
    let barrier = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (mut router, template, barrier) =
                (router.clone(), template.clone(), barrier.clone());
            std::thread::spawn(move || {
                route(&mut router, &template, WARM_UP);
                barrier.wait();
                route(&mut router, &template, count);
                barrier.wait();
            })
        })
        .collect();
    barrier.wait();
    let begin = cpu_ns();
    barrier.wait();
    let spent = cpu_ns() - begin;
    for worker in workers {
        worker.join().expect("a worker");
    }
    // hotpath's guard ends the process's measuring; it is not part of a request.
    std::mem::forget(keep);
    Some(spent as f64 / (threads * count).max(1) as f64)
}

fn route(router: &mut Router, template: &Request<()>, count: usize) {
    for _ in 0..count {
        let request = contenders::routed(template);
        let response = ready(pin!(router.call(request))).expect("an answer");
        let mut body = pin!(response.into_body());
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            std::hint::black_box(frame.is_ok());
        }
    }
}
