//! Every cache, each in its best configuration for what is measured: answers that live an hour, in memory.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use pitcrew::CacheLayer;
use tower::{Layer, Service, ServiceExt};

use crate::amalgam::Amalgam;
use crate::floor::Floor;
use crate::handler::{Handler, service};

/// Distinct paths that are asked for.
pub(crate) const KEYS: usize = 1_024;

/// Room for twice the keys, so that no cache evicts.
const ITEMS: usize = 2 * KEYS;

const LIFETIME: Duration = Duration::from_secs(3_600);

/// What is done with a cache; generic, so that no measurement pays for a boxed service.
pub(crate) trait Measure {
    type Output;

    fn measure<S, B>(self, service: S) -> Self::Output
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Debug, Future: Send>
            + Clone
            + Send
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Debug> + Send + 'static;
}

/// Puts the cache of this name over the handler. To be called within a runtime. `None` for an unknown name.
pub(crate) fn with<M: Measure>(
    name: &str,
    handler: &Arc<Handler>,
    measure: M,
) -> Option<M::Output> {
    let inner = service(handler.clone());
    Some(match name {
        "none" => measure.measure(inner),
        "quick_cache" => measure.measure(Floor::new(inner, ITEMS)),
        "pitcrew" => measure.measure(CacheLayer::builder().build().0.layer(inner)),
        "axum-response-cache" => {
            // It takes axum's own body alone.
            let inner = inner.map_response(|response| response.map(Body::new));
            measure.measure(axum_response_cache::CacheLayer::with_lifespan(LIFETIME).layer(inner))
        }
        "tower-http-cache" => {
            let backend = tower_http_cache::backend::memory::InMemoryBackend::new(ITEMS as u64);
            let layer = tower_http_cache::CacheLayer::builder(backend).ttl(LIFETIME);
            measure.measure(layer.build().layer(inner))
        }
        "http-cache-tower-server" => {
            let store = http_cache::MokaManager::new(http_cache::MokaCache::new(ITEMS as u64));
            measure.measure(http_cache_tower_server::ServerCacheLayer::new(store).layer(inner))
        }
        "amalgam-cache" => {
            let options = amalgam::EntryOptions::default().with_duration(LIFETIME);
            let cache = amalgam::Cache::builder()
                .default_options(options)
                .max_capacity(ITEMS as u64)
                .try_build()
                .ok()?;
            measure.measure(Amalgam::new(inner, cache))
        }
        _ => return None,
    })
}
