//! [`Cache`], the service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    body::ResponseBody,
    forward::Forward,
    future::{Held, ResponseFuture},
    invalidation::path_slot,
    key::asked_uri,
    outcome::Outcome,
    policy::{VaryNames, classify},
    shared::Shared,
    tags::Tags,
};

/// Caches the inner service's answers. Made by [`CacheLayer`](super::CacheLayer).
///
/// The inner service must be `Clone`, as services under axum and hyper are: the one that was polled ready is taken for
/// the call and a clone left in its place; one that waits for another's answer, or is answered from the cache, gives the
/// ready one up, so that it holds no permit of a limit within.
#[derive(Clone)]
pub struct Cache<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Cache<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for Cache<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: Body,
    R: Body + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (parts, body) = request.into_parts();
        let region = shared.region_of(&parts);
        let judged = classify(&parts, !body.is_end_stream()).and_then(|lookup| {
            let key = shared.keys.key(&parts, shared.region(region).name())?;
            Ok((lookup, key))
        });
        let (lookup, key) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                shared.bypassed(region, reason);
                let inner = inner.call(Request::from_parts(parts, body));
                return ResponseFuture::bypass(inner, reason);
            }
        };
        // Before anything is looked up or read: what is made from now on is new to every purge before.
        let stamp = shared.now();
        let (miss, vary) = match shared.fresh(&key, &parts.headers, &lookup) {
            Ok(entry) => {
                return ResponseFuture::reply(shared.hit(
                    &entry,
                    lookup.head,
                    region,
                    Outcome::Hit,
                ));
            }
            Err((miss, slot)) => (
                miss,
                slot.map_or_else(VaryNames::default, |slot| slot.vary.clone()),
            ),
        };
        let forward = Forward {
            shared: shared.clone(),
            lookup,
            key: Arc::new(key),
            region,
            path_slot: path_slot(asked_uri(&parts).path()),
            stamp,
            l2_stamp: None,
            miss,
            leader: None,
            request: HeaderMap::new(),
            tags: Tags::default(),
            turns: 0,
            deadline: None,
        };
        let held = Held {
            inner,
            ready: true,
            parts,
            body,
        };
        ResponseFuture::miss(held, forward, &vary, || self.inner.clone())
    }
}

impl<S> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
