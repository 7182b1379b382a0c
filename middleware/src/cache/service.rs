//! [`Cache`], the service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    body::ResponseBody,
    changes::Changes,
    future::{Held, ResponseFuture},
    hit::answer::Asked,
    hit::look::Look,
    miss::forward::Forward,
    miss::within::Within,
    outcome::{BypassReason, Outcome},
    policy::{Content, Fields, classify},
    shared::Shared,
    truth::Sample,
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

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The answer to a request of whose content so much is known.
    pub(super) fn answer<B, R>(
        &mut self,
        request: Request<B>,
        content: &Content,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        R: Body + Send + 'static,
        R::Error: Send,
    {
        let shared = &self.shared;
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (mut parts, body) = request.into_parts();
        // The same cache stands around this one: it waits for this very request.
        if Within::this(&parts, shared) {
            let request = Request::from_parts(parts, body);
            let inner = shared.watching(None, || inner.call(request));
            let reason = BypassReason::Nested;
            return ResponseFuture::bypass(inner, shared.clone(), reason, None);
        }
        let belonging = shared.region_of(&parts);
        let region = belonging.region;
        let settings = shared.region(region);
        let identity = settings.key.identity_of(&parts);
        #[cfg(feature = "redis")]
        let token = shared.token(&mut parts.headers);
        let fields = Fields::of(&parts.headers);
        let judged = belonging
            .checked()
            .and_then(|()| classify(&parts, fields, content, settings, identity.is_some()))
            .and_then(|lookup| {
                settings.key.rewrite(&mut parts);
                let (keys, content) = (&shared.keys, content.in_key());
                let key = keys.key(&parts, fields, settings, identity.as_deref(), content)?;
                Ok((lookup, key))
            });
        let (lookup, key) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                let outcome = Outcome::Bypass(reason);
                shared.count(shared.series.of(region, &parts), outcome);
                let changes = Changes::of(shared, &parts, &belonging);
                #[cfg(feature = "redis")]
                let changes = changes.map(|changes| changes.after(token.map(|(token, _)| token)));
                let mut changes = changes;
                let request = Request::from_parts(parts, body);
                let call = || match &mut changes {
                    Some(changes) => changes.scope(|| inner.call(request)),
                    None => inner.call(request),
                };
                let inner = shared.watching(None, call);
                return ResponseFuture::bypass(inner, shared.clone(), reason, changes);
            }
        };
        #[cfg(feature = "redis")]
        if let Some((token, false)) = token {
            let forward = Forward::new(shared, lookup, key, region, &parts);
            let held = Held {
                inner: self.inner.clone(),
                ready: false,
                parts,
                body,
            };
            return ResponseFuture::behind(held, forward, token);
        }
        // Before anything is looked up or read: what is made from now on is new to every purge before.
        let stamp = shared.now();
        let asked = Asked {
            headers: &parts.headers,
            lookup: &lookup,
            region,
            now: shared.clock.now(),
        };
        let look = match shared.look(&key, asked) {
            Look::Hit(entry, outcome) => {
                let response = shared.hit(&entry, asked, outcome);
                match &shared.truth {
                    Some(truth) if outcome == Outcome::Hit => {
                        let held = Held {
                            inner,
                            ready: true,
                            parts,
                            body,
                        };
                        truth.sample(shared, Sample::new(key, entry, lookup, region), held);
                    }
                    _ => key.spare(),
                }
                return ResponseFuture::reply(response);
            }
            look => look,
        };
        let mut forward = Forward::new(shared, lookup, key, region, &parts);
        forward.stamp = stamp;
        let held = Held {
            inner,
            ready: true,
            parts,
            body,
        };
        ResponseFuture::looked(look, held, forward, || self.inner.clone())
    }
}

impl<S, B, R> Service<Request<B>> for Cache<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
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
        let content = Content::of(request.body());
        self.answer(request, &content)
    }
}

impl<S> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
