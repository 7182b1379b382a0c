//! [`Memory`], the service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    body::ResponseBody, future::ResponseFuture, routes::Route, scope::Scope, shared::Shared,
    tally::Tally,
};
use crate::route::{Template, UNMATCHED, method_label};

/// Counts what the inner service allocates, and refuses requests where the guard says so. Made by
/// [`MemoryLayer`](super::MemoryLayer).
///
/// A refused request leaves the inner service polled ready and not called: what that reserved (a permit of a limit within)
/// is given up with this service's next call or its drop, as with any service that is polled ready.
#[derive(Clone)]
pub struct Memory<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Memory<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for Memory<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        shared.requests.add();
        if !shared.attention.is_quiet()
            && let Some(refusal) = shared.attend(request.uri().path())
        {
            return ResponseFuture::refused(refusal);
        }
        if !shared.counting {
            return ResponseFuture::new(self.inner.call(request), None);
        }
        let method = method_label(request.method());
        // Whoever sets a closure wants it to win; where it declines, axum's own names stand as without one.
        if shared.labeler.is_custom() {
            let (parts, body) = request.into_parts();
            let label = shared.labeler.custom(&parts);
            let tally = match &label {
                Some(label) => shared.routes.tally(label.as_str().into(), method),
                None => shared.routes.tally(route(&parts.extensions), method),
            };
            let request = Request::from_parts(parts, body);
            return measured(&mut self.inner, tally, request);
        }
        let tally = shared.routes.tally(route(request.extensions()), method);
        measured(&mut self.inner, tally, request)
    }
}

#[inline]
fn route(extensions: &Extensions) -> Route<'_> {
    match Template::of(extensions) {
        Template::Whole(name) => name.into(),
        Template::Nested(name) => Route { name, suffix: "/*" },
        Template::None => UNMATCHED.into(),
    }
}

#[inline]
fn measured<S, B>(
    inner: &mut S,
    tally: Arc<Tally>,
    request: Request<B>,
) -> ResponseFuture<S::Future>
where
    S: Service<Request<B>>,
{
    match Scope::new(tally) {
        Some(mut scope) => {
            let future = scope.measure(|| inner.call(request));
            ResponseFuture::new(future, Some(scope))
        }
        None => ResponseFuture::new(inner.call(request), None),
    }
}

impl<S> fmt::Debug for Memory<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
