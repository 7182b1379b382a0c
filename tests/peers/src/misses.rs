//! What a cache does with many at once, with what it may not store, and with `Vary`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use tower::Service;

use crate::contenders::{Measure, with};
use crate::handler::Handler;
use crate::hits::{STORED_WITHIN, drain, request, runtime};

/// What a slow handler takes.
const DELAY: Duration = Duration::from_millis(50);

/// Asks for one path `self.0` times at once; answers the milliseconds until all have their answer.
struct AtOnce<'a>(usize, &'a tokio::runtime::Runtime);

impl Measure for AtOnce<'_> {
    type Output = f64;

    fn measure<S, B>(self, service: S) -> f64
    where
        S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug, Future: Send>
            + Clone
            + Send
            + 'static,
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
    {
        self.1.block_on(async {
            let begin = Instant::now();
            let clients: Vec<_> = (0..self.0)
                .map(|_| {
                    let mut service = service.clone();
                    tokio::spawn(async move {
                        let request = request(0).map(|()| Body::empty());
                        std::future::poll_fn(|cx| service.poll_ready(cx))
                            .await
                            .expect("ready");
                        drain(service.call(request).await.expect("an answer")).await
                    })
                })
                .collect();
            for client in clients {
                client.await.expect("a client");
            }
            begin.elapsed().as_secs_f64() * 1e3
        })
    }
}

/// Calls of the handler for `count` cold misses at once.
pub(crate) fn collapsed(name: &str, count: usize) -> Option<f64> {
    let runtime = runtime();
    let _inside = runtime.enter();
    let handler = Arc::new(Handler::new("max-age=3600").delay(DELAY));
    with(name, &handler, AtOnce(count, &runtime))?;
    Some(handler.calls() as f64)
}

/// Milliseconds for `count` at once whose answers may not be stored: first asked ever, then asked again. NaN where the
/// handler was not asked by all, which is to say that an answer under `no-store` was shared.
pub(crate) fn uncacheable(name: &str, count: usize) -> Option<[f64; 2]> {
    let runtime = runtime();
    let _inside = runtime.enter();
    let handler = Arc::new(Handler::new("no-store").delay(DELAY));
    struct Twice<'a>(usize, &'a tokio::runtime::Runtime);
    impl Measure for Twice<'_> {
        type Output = [f64; 2];

        fn measure<S, B>(self, service: S) -> [f64; 2]
        where
            S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug, Future: Send>
                + Clone
                + Send
                + 'static,
            B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
        {
            [service.clone(), service].map(|service| AtOnce(self.0, self.1).measure(service))
        }
    }
    let taken = with(name, &handler, Twice(count, &runtime))?;
    let all = handler.calls() == 2 * count as u64;
    Some(if all { taken } else { [f64::NAN; 2] })
}

/// 1 where each of two languages gets its own answer, twice in turn, and the second time without the handler; 0.5 where
/// each gets its own but the handler is asked again; 0 where one gets the other's.
pub(crate) fn vary(name: &str) -> Option<f64> {
    let runtime = runtime();
    let _inside = runtime.enter();
    let handler = Arc::new(Handler::new("max-age=3600").speaks());
    struct Languages<'a>(&'a tokio::runtime::Runtime);
    impl Measure for Languages<'_> {
        type Output = bool;

        fn measure<S, B>(self, mut service: S) -> bool
        where
            S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug, Future: Send>
                + Clone
                + Send
                + 'static,
            B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
        {
            self.0.block_on(async {
                let mut own = true;
                for language in ["en", "de", "en", "de"] {
                    let mut request = request(0).map(|()| Body::empty());
                    let value = HeaderValue::from_static(language);
                    request.headers_mut().insert(header::ACCEPT_LANGUAGE, value);
                    std::future::poll_fn(|cx| service.poll_ready(cx))
                        .await
                        .expect("ready");
                    let response = service.call(request).await.expect("an answer");
                    let body = response.into_body().collect().await.expect("a body");
                    own &= body.to_bytes() == language;
                    // Some store behind the answer.
                    tokio::time::sleep(STORED_WITHIN).await;
                }
                own
            })
        }
    }
    let own = with(name, &handler, Languages(&runtime))?;
    Some(match (own, handler.calls()) {
        (false, _) => 0.0,
        (true, 2) => 1.0,
        (true, _) => 0.5,
    })
}
