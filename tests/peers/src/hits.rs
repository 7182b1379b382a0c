//! Hits: every key asked for in turn, on one runtime a thread.

use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt;
use tower::Service;

use crate::contenders::{KEYS, Measure, with};
use crate::handler::Handler;

/// How long a cache that stores behind the answer may take.
pub(crate) const STORED_WITHIN: Duration = Duration::from_millis(100);

/// A browser's request for the key of this number.
pub(crate) fn request(key: usize) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = format!("/items/{key}").parse().expect("a path");
    for (name, value) in [
        (header::HOST, "example.org"),
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)"),
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip, br"),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    request
}

/// Reads an answer to its end and says how many bytes it had.
pub(crate) async fn drain<B>(response: Response<B>) -> usize
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let mut body = pin!(response.into_body());
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame
            .expect("a body from memory")
            .into_data()
            .map_or(0, |data| data.len());
    }
    bytes
}

/// CPU time of this process, all threads.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists, the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// `count` requests made and dropped: what the clients cost, which is not part of a hit.
pub(crate) fn requests(count: usize) {
    let templates: Vec<_> = (0..KEYS).map(request).collect();
    for template in templates.iter().cycle().take(count) {
        std::hint::black_box(template.clone().map(|()| Body::empty()));
    }
}

/// CPU nanoseconds a request, `count` of them on each of `threads`; `None` for an unknown cache.
pub(crate) fn hits(name: &str, threads: usize, count: usize) -> Option<f64> {
    let runtime = runtime();
    let _inside = runtime.enter();
    let handler = Arc::new(Handler::new("max-age=3600"));
    let ns = with(
        name,
        &handler,
        Hits {
            threads,
            count,
            runtime: &runtime,
        },
    )?;
    // A cache that never hits would be measured as a slow handler.
    let fills = (KEYS * 2) as u64;
    assert!(
        name == "none" || handler.calls() <= fills,
        "{name}: {} calls",
        handler.calls()
    );
    Some(ns)
}

struct Hits<'a> {
    threads: usize,
    count: usize,
    runtime: &'a tokio::runtime::Runtime,
}

async fn ask<S, B>(service: &mut S, templates: &[Request<()>], count: usize) -> usize
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let mut bytes = 0;
    for template in templates.iter().cycle().take(count) {
        let request = template.clone().map(|()| Body::empty());
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .expect("ready");
        bytes += drain(service.call(request).await.expect("an answer")).await;
    }
    bytes
}

impl Measure for Hits<'_> {
    type Output = f64;

    fn measure<S, B>(self, mut service: S) -> f64
    where
        S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug, Future: Send>
            + Clone
            + Send
            + 'static,
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
    {
        let templates: Arc<Vec<_>> = Arc::new((0..KEYS).map(request).collect());
        // The second round finds what the first left, and makes it known as asked for.
        for _ in 0..2 {
            self.runtime.block_on(async {
                ask(&mut service, &templates, KEYS).await;
                tokio::time::sleep(STORED_WITHIN).await;
            });
        }
        let count = self.count;
        if self.threads == 1 {
            let begin = cpu_ns();
            self.runtime.block_on(ask(&mut service, &templates, count));
            return (cpu_ns() - begin) as f64 / count.max(1) as f64;
        }
        let barrier = Arc::new(Barrier::new(self.threads + 1));
        let workers: Vec<_> = (0..self.threads)
            .map(|_| {
                let (mut service, templates, barrier) =
                    (service.clone(), templates.clone(), barrier.clone());
                std::thread::spawn(move || {
                    let runtime = runtime();
                    barrier.wait();
                    runtime.block_on(ask(&mut service, &templates, count));
                    barrier.wait();
                })
            })
            .collect();
        let begin = cpu_ns();
        barrier.wait();
        barrier.wait();
        let spent = cpu_ns() - begin;
        for worker in workers {
            worker.join().expect("a worker");
        }
        spent as f64 / (self.threads * count).max(1) as f64
    }
}
