//! [`BodyKey`], the service.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{BodyKeyFuture, RequestBody, future::Ahead, read::Reading};
use crate::cache::{Cache, ResponseBody, policy::Content};

/// Reads requests' content ahead, where it is part of their keys. Made by [`BodyKeyLayer`](super::BodyKeyLayer).
///
/// Bodies have to be `Unpin`, as those of axum and hyper are.
#[derive(Clone, Debug)]
pub struct BodyKey<S> {
    cache: Cache<S>,
}

impl<S> BodyKey<S> {
    pub(super) fn new(cache: Cache<S>) -> Self {
        Self { cache }
    }
}

impl<S, B, R> Service<Request<B>> for BodyKey<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
    R: Body + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = BodyKeyFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<RequestBody<B>>>::poll_ready(&mut self.cache, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let Some(max_bytes) = self.cache.shared().content_in_key(&parts) else {
            let content = Content::of(&body);
            let request = Request::from_parts(parts, RequestBody::unread(body));
            return BodyKeyFuture::answering(self.cache.answer(request, &content));
        };
        // The one that is ready is taken for the call.
        let clone = self.cache.clone();
        let cache = mem::replace(&mut self.cache, clone);
        BodyKeyFuture::reading(Ahead::new(cache, parts, Reading::new(body, max_bytes)))
    }
}
