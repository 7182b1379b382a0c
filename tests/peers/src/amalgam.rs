//! amalgam-cache holds values, not answers: the thinnest layer over it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use amalgam::Cache;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body_util::{BodyExt, Full};
use tower::Service;

type Stored = Arc<(Parts, Bytes)>;

#[derive(Clone)]
pub(crate) struct Amalgam<S> {
    inner: S,
    cache: Arc<Cache<Stored>>,
}

impl<S> Amalgam<S> {
    pub(crate) fn new(inner: S, cache: Cache<Stored>) -> Self {
        Self {
            inner,
            cache: Arc::new(cache),
        }
    }
}

impl<S> Service<Request<Body>> for Amalgam<S>
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = amalgam::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (cache, mut inner) = (self.cache.clone(), self.inner.clone());
        Box::pin(async move {
            let key = request.uri().clone();
            let stored = cache
                .get_or_set(key.path(), move |_| async move {
                    let (parts, body) = inner.call(request).await?.into_parts();
                    // The handler's body is in memory: it cannot fail.
                    let body = body.collect().await.unwrap_or_default().to_bytes();
                    Ok::<_, Infallible>(Arc::new((parts, body)))
                })
                .await?;
            Ok(Response::from_parts(
                stored.0.clone(),
                Full::new(stored.1.clone()),
            ))
        })
    }
}
