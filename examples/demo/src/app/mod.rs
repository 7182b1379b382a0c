//! The service: a small sales-analytics API, as a team would write it, with pitcrew mounted on it.

mod live;
mod routes;
pub(crate) mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use pitcrew::cache::RedisStore;
use pitcrew::{CacheHandle, CacheLayer, LatencyLayer, MemoryLayer};
use pitcrew_admin::{Admin, PoolGauges};

use self::live::Live;
use self::store::Store;
use crate::Failure;

/// What handlers share.
pub(crate) struct Shared {
    store: Store,
    cache: CacheHandle,
    live: Live,
}

/// A service that listens.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    /// The operator's token, made for this run.
    pub(crate) token: String,
    admin: Admin,
}

impl App {
    /// Puts the layers on the service and starts it on a free loopback port.
    pub(crate) async fn start(
        store: Store,
        database_url: Option<&str>,
        redis_url: Option<&str>,
    ) -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;

        let mut cache = CacheLayer::builder().region_for(|parts| {
            parts
                .uri
                .path()
                .starts_with("/dashboard/")
                .then_some("dashboard_data")
        });
        if let Some(url) = redis_url {
            cache = cache.redis(RedisStore::connect(url)?.namespace("demo"));
        }
        let (cache_layer, cache) = cache.build();
        let (memory_layer, memory) = MemoryLayer::builder()
            .interval(Duration::from_secs(1))
            .build();
        let (latency_layer, latency) = LatencyLayer::builder().build();

        let mut admin = Admin::builder()
            .cache(cache.clone())
            .memory(memory)
            .latency(latency)
            .self_address(format!("http://{address}"));
        if let Some(url) = database_url {
            admin = admin.database(url);
        }
        if let Some(pool) = store.pool() {
            admin = admin.pool("app", move || gauges(&pool));
        }
        let admin = admin.build()?;
        let token = admin.generated_token().unwrap_or_default().to_owned();

        let shared = Arc::new(Shared {
            store,
            cache,
            live: Live::new(),
        });
        let app: Router = routes::router(shared)
            .layer(cache_layer)
            .layer(memory_layer)
            .layer(latency_layer)
            .nest("/performance", admin.router());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            address,
            token,
            admin,
        })
    }

    pub(crate) async fn stop(&self) {
        self.admin.shutdown(Duration::from_secs(1)).await;
    }
}

fn gauges(pool: &store::Pool) -> PoolGauges {
    let state = pool.state();
    PoolGauges {
        max_connections: store::CONNECTIONS,
        connections: state.connections,
        idle: state.idle_connections,
        direct: state.statistics.get_direct,
        waited: state.statistics.get_waited,
        timed_out: state.statistics.get_timed_out,
        wait_ms: state.statistics.get_wait_time.as_secs_f64() * 1e3,
    }
}
