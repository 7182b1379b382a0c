//! What those who wait for another's answer are given, and what not.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{Purge, Region},
    clock::Clock,
};
use support::*;
use tokio::{sync::Semaphore, task::JoinHandle};

const SECOND: Duration = Duration::from_secs(1);

/// Answers by status and fields, one permit a call; its body is a version that the test changes, read when the call begins.
#[derive(Clone)]
struct Slow {
    version: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    handler: Handler,
    app: Cached,
    handle: CacheHandle,
    clock: Clock,
}

impl Slow {
    fn new(
        region: Region,
        said: impl Fn(&Request<Full<Bytes>>, usize) -> (u16, Vec<(&'static str, &'static str)>)
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let (version, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (read, inside) = (version.clone(), gate.clone());
        let handler = Handler::new(move |request, call| {
            let (status, fields) = said(&request, call);
            let body = read.load(Ordering::SeqCst).to_string();
            let gate = inside.clone();
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                let mut response = answer(&fields, body);
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok(response)
            })
        });
        let clock = Clock::manual();
        let builder = CacheLayer::builder().region(region).clock(clock.clone());
        let (app, handle) = cached(&handler, builder);
        Self {
            version,
            gate,
            handler,
            app,
            handle,
            clock,
        }
    }

    /// Asks, and comes as far as it can.
    async fn begin(&self, fields: &[(&str, &str)]) -> JoinHandle<Seen> {
        let (app, request) = (self.app.clone(), get_with("/", fields));
        let asking = tokio::spawn(async move { ask(&app, request).await });
        settle().await;
        asking
    }

    async fn end(&self, asking: JoinHandle<Seen>) -> Seen {
        self.gate.add_permits(1);
        asking.await.unwrap()
    }
}

/// A stale answer without validators is there, and a client asks for a part of a new one.
#[tokio::test]
async fn a_part_that_one_asked_for_is_no_answer_to_those_who_ask_for_the_whole() {
    for partial in [false, true] {
        let slow = Slow::new(Region::api().partial(partial), |request, _| {
            if request.headers().contains_key("range") {
                let part = ("content-range", "bytes 0-0/9");
                (206, vec![("cache-control", "max-age=9"), part])
            } else {
                (200, vec![("cache-control", "max-age=9")])
            }
        });
        let first = slow.begin(&[]).await;
        slow.end(first).await;
        slow.clock.advance(10 * SECOND);
        let part = slow.begin(&[("range", "bytes=0-0")]).await;
        let whole = slow.begin(&[]).await;
        slow.gate.add_permits(2);
        assert_eq!(part.await.unwrap().status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(whole.await.unwrap().status, StatusCode::OK, "{partial}");
    }
}

/// Who comes after a soft purge may be given what is older, unless that has to be revalidated (RFC 9111, 5.2.2.2).
#[tokio::test]
async fn after_a_soft_purge_only_what_may_be_stale_is_shared() {
    for (control, shared) in [("max-age=60", "0"), ("max-age=60, must-revalidate", "1")] {
        let slow = Slow::new(Region::api(), move |_, _| {
            (200, vec![("cache-control", control)])
        });
        let leads = slow.begin(&[]).await;
        slow.version.store(1, Ordering::SeqCst);
        slow.handle.purge_softly(Purge::All).await.unwrap();
        let waits = slow.begin(&[]).await;
        assert_eq!(slow.handler.calls(), 1);
        assert_eq!(slow.end(leads).await.body, "0");
        assert_eq!(slow.end(waits).await.body, shared, "{control}");
    }
}

/// What stands in for an error does so for each who waits, and says so (RFC 5861, 4).
#[tokio::test]
async fn what_stands_in_for_an_error_says_so_to_all() {
    let slow = Slow::new(Region::api(), |_, call| {
        let status = if call == 0 { 200 } else { 503 };
        (
            status,
            vec![("cache-control", "max-age=10, stale-if-error=60")],
        )
    });
    let first = slow.begin(&[]).await;
    slow.end(first).await;
    slow.clock.advance(11 * SECOND);
    let (leads, waits) = (slow.begin(&[]).await, slow.begin(&[]).await);
    slow.gate.add_permits(1);
    for asking in [leads, waits] {
        let seen = asking.await.unwrap();
        assert_eq!((seen.status, &*seen.body), (StatusCode::OK, "0"));
        let status = "pitcrew; fwd=stale; ttl=-1; detail=stale-if-error";
        assert_eq!(seen.cache_status(), status);
    }
    assert_eq!(slow.handler.calls(), 2);
}

/// What was made while one waited is given however long it took; what was there before only where it is fresh enough.
#[tokio::test]
async fn an_answer_that_is_stale_when_it_comes_is_an_answer_to_who_waited_for_it() {
    let slow = Slow::new(Region::api(), |_, _| {
        (200, vec![("cache-control", "max-age=10"), ("age", "9")])
    });
    let leads = slow.begin(&[]).await;
    let waits = slow.begin(&[("cache-control", "max-age=5")]).await;
    assert_eq!(slow.end(leads).await.body, "0");
    assert_eq!(
        waits.await.unwrap().cache_status(),
        "pitcrew; fwd=uri-miss; collapsed"
    );
    assert_eq!(slow.handler.calls(), 1);
}
