//! [`BodyKeyLayer`].

use tower_layer::Layer;

use super::BodyKey;
use crate::cache::CacheLayer;

/// A [`CacheLayer`] that puts requests' content into keys where their region wants it; made by
/// [`CacheLayer::with_body_keys`]. It stands in the place of that one, not beside it.
///
/// The service inside gets [`RequestBody<B>`](super::RequestBody) for a body. An axum router takes any:
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn mount() {
/// use std::time::Duration;
/// use axum::{Router, routing::post};
/// use pitcrew::cache::{CacheLayer, DEFAULT_BODY_IN_KEY_BYTES, Region};
///
/// let searches = Region::new("searches")
///     .ttl(Duration::from_secs(10))
///     .body_in_key(DEFAULT_BODY_IN_KEY_BYTES);
/// let (cache, handle) = CacheLayer::builder()
///     .region(searches)
///     .region_for(|request| (request.uri.path() == "/search").then_some("searches"))
///     .build();
/// let app: Router = Router::new()
///     .route("/search", post(async |query: String| format!("found: {query}")))
///     .layer(cache.with_body_keys());
/// # drop((app, handle));
/// # }
/// ```
///
/// Another service either takes `Request<RequestBody<B>>`, or has it mapped to what it takes:
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
/// use pitcrew::CacheLayer;
/// use tower::{ServiceBuilder, service_fn};
///
/// type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;
/// async fn handler(request: Request<Body>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
///     let content = request.into_body().collect().await?.to_bytes();
///     Ok(Response::new(Full::new(content)))
/// }
///
/// let (cache, handle) = CacheLayer::builder().build();
/// let app = ServiceBuilder::new()
///     .layer(cache.with_body_keys())
///     .map_request(|request: Request<_>| request.map(BodyExt::boxed_unsync))
///     .service(service_fn(handler));
/// # async fn call(app: impl tower::Service<Request<Full<Bytes>>>) {}
/// # drop((call(app), handle));
/// ```
#[derive(Clone, Debug)]
pub struct BodyKeyLayer {
    cache: CacheLayer,
}

impl BodyKeyLayer {
    pub(in crate::cache) fn new(cache: CacheLayer) -> Self {
        Self { cache }
    }
}

impl<S> Layer<S> for BodyKeyLayer {
    type Service = BodyKey<S>;

    fn layer(&self, inner: S) -> BodyKey<S> {
        BodyKey::new(self.cache.layer(inner))
    }
}
