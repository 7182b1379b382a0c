//! The service: a small sales-analytics API, as a team would write it, with pitcrew mounted on it.

mod live;
mod problem;
mod routes;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use pitcrew::cache::RedisStore;
use pitcrew::{CacheHandle, CacheLayer, LatencyLayer, MemoryLayer};
use pitcrew_admin::{Admin, PoolGauges};
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;

use self::live::Live;
pub use self::store::Store;
use crate::Failure;

/// What each instance of the service is started with.
#[derive(Clone)]
pub struct Setup {
    /// Where the data are.
    pub store: Store,
    /// The database that the admin router looks at, if any.
    pub database_url: Option<String>,
    /// The second level of the cache, which all instances share, if any.
    pub redis_url: Option<String>,
}

/// What handlers share.
struct Shared {
    store: Store,
    /// None in the service without pitcrew.
    cache: Option<CacheHandle>,
    live: Live,
}

/// One instance of the service, which listens.
pub struct App {
    /// Where: a free loopback port.
    pub address: SocketAddr,
    /// The operator's token, made for this run.
    pub token: String,
    admin: Admin,
    server: JoinHandle<std::io::Result<()>>,
}

impl App {
    /// Puts the layers on the service and starts it.
    ///
    /// # Errors
    /// A Redis URL or a database URL that is none.
    pub async fn start(setup: &Setup) -> Result<Self, Failure> {
        Self::start_with(setup, Router::new()).await
    }

    /// [`App::start`] with further routes beside the service's own, under the same layers.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(setup: &Setup, more: Router) -> Result<Self, Failure> {
        Self::start_at(setup, more, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// [`App::start_with`], at this address.
    ///
    /// # Errors
    /// As [`App::start`]; an address that is taken.
    pub async fn start_at(
        setup: &Setup,
        more: Router,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?;

        let mut cache = CacheLayer::builder().region_for(|parts| {
            parts
                .uri
                .path()
                .starts_with("/dashboard/")
                .then_some("dashboard_data")
        });
        if let Some(url) = &setup.redis_url {
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
        if let Some(url) = &setup.database_url {
            admin = admin.database(url.as_str());
        }
        if let Some(pool) = setup.store.pool() {
            admin = admin.pool("app", move || gauges(&pool));
        }
        let admin = admin.build()?;
        let token = admin.generated_token().unwrap_or_default().to_owned();

        let shared = Arc::new(Shared {
            store: setup.store.clone(),
            cache: Some(cache),
            live: Live::new(),
        });
        let app: Router = routes::router(shared)
            .merge(more)
            // Innermost: a panic is a 500 of its own request, and the layers see an answer like any other.
            .layer(CatchPanicLayer::custom(problem::panicked))
            .layer(cache_layer)
            .layer(memory_layer)
            .layer(latency_layer)
            .nest_service("/performance", admin.router());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            address,
            token,
            admin,
            server,
        })
    }

    /// The same service without pitcrew, at this address, until it fails: what it is compared with.
    pub async fn serve_plain(setup: &Setup, address: SocketAddr) -> Failure {
        let listener = match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => return error.into(),
        };
        let shared = Arc::new(Shared {
            store: setup.store.clone(),
            cache: None,
            live: Live::new(),
        });
        let app = routes::router(shared).layer(CatchPanicLayer::custom(problem::panicked));
        match axum::serve(listener, app).await {
            Ok(()) => "the service has ended".into(),
            Err(error) => error.into(),
        }
    }

    /// Takes no further connections and ends what runs in the background.
    pub async fn stop(&self) {
        self.server.abort();
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
