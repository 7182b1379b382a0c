//! An Axum router that shows and tends a running service.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
//! use pitcrew_admin::Admin;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (cache_layer, cache) = CacheLayer::builder().build();
//! let (memory_layer, memory) = MemoryLayer::builder().build();
//! let (latency_layer, latency) = LatencyLayer::builder().build();
//! let admin = Admin::builder()
//!     .cache(cache)
//!     .memory(memory)
//!     .latency(latency)
//!     .database("postgres://app@127.0.0.1/app")
//!     .self_address("http://127.0.0.1:3000")
//!     .operator_token(std::env::var("PITCREW_TOKEN")?)
//!     .build()?;
//!
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(cache_layer)
//!     .layer(memory_layer)
//!     .layer(latency_layer) // last: outermost, so it times everything
//!     .nest_service("/performance", admin.router()); // after the layers, so it is never cached
//! # Ok(())
//! # }
//! ```
//!
//! # Who may do what
//!
//! Health and login are public. Everything else wants `Authorization: Bearer TOKEN`, or a session that was begun with one: a
//! reader's for `GET`, an operator's for what changes something ([`Token`]). [`AdminBuilder::auth`] asks the host's own
//! authentication. Without either [`AdminBuilder::build`] makes a token and logs it. Requests for a host name that is not
//! loopback, the app's own or [allowed](AdminBuilder::allow_host) are answered with 421.
//!
//! # Routes, under the prefix where the router is nested
//!
//! `GET /openapi.json` has all of them, made of the same declarations as the router.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /status` · `/benchmarks` · `/config` | a sentence, one next action, key figures · targets against measured values · what the router was built with and costs |
//! | `GET /health` · `/health/live` · `/health/ready` | `UP`, `DEGRADED` or `DOWN` · whether the process answers · whether requests should come here |
//! | `POST /optimize` · `GET /cycles` · `/cycles/{id}` · `POST`, `DELETE /cycles/pause` | starts a cycle now · reports · lets none start by itself |
//! | `GET /cache/stats` · `/cache/explain` · `POST /cache/clear`, `/cache/invalidate` | figures by region, route and reason · what would become of a request · purge by path, key, prefix, pattern, tag, region or all |
//! | `GET /database/analysis` · `/queries` · `/indexes` · `/tables` · `/sessions` · `/pools` | suggestions, statements, sizes, findings, who waits for whom, pools |
//! | `POST /database/maintenance` · `/database/indexes/{id}/apply` · `GET`, `DELETE /database/jobs/{id}` | submits a job · follows or cancels it |
//! | `GET`, `POST /database/suppressed` · `DELETE /database/suppressed/{key}` | leaves findings and suggested indexes out, and shows them again |
//! | `POST /database/pools/{name}/resize` | gives a [`SwapPool`] another size |
//! | `GET /memory/usage` · `/trend` · `/leak` · `POST /memory/gc` · `/memory/heap-profile` | figures · the leak verdict · returns freed pages · what holds the heap (feature `jemalloc-pprof`) |
//! | `GET /response-times` · `/{route}` · `/heat-map` · `/slow` · `/parts` · `/n-plus-one` · `GET /slos` | percentiles by window · one route · times minute by minute · slow routes · where time goes · repeated statements · objectives |
//! | `POST /load-test` · `GET`, `DELETE /load-test/{id}` · `GET /load-test/{id}/report` | loads this app · follows or cancels the run · what it found |
//! | `GET /history` · `/alerts` · `/audit` | key figures over time · rules and what fired · who did what |
//! | `GET /metrics` · `/events` | text for Prometheus · live figures and alerts |
//! | `GET`, `POST /login` · `POST /logout` · `GET /whoami` | a session for browsers |
//! | `GET /` · `GET /assets/{file}` | the dashboard and its files |
//!
//! # Background work
//!
//! [`AdminBuilder::build`] spawns nothing. What runs by itself (a look at every part each second, at the database each minute,
//! and the cycle every 30 minutes) starts with [`Admin::router`] when that is called inside a runtime, else with the first
//! request; it holds only weak references and ends with [`Admin::shutdown`] or with the last handle.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/admin.md")]
struct Guide;

mod actions;
mod alerts;
mod audit;
mod background;
mod build_error;
mod builder;
mod database;
mod health;
mod heat;
mod history;
mod instance;
mod keep;
mod load_tests;
mod observe;
mod optimizer;
mod routes;
mod section;
mod security;
mod serve;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use alerts::{Alert, AlertRule, AlertSeverity, AlertSink};
#[cfg(feature = "webhook")]
pub use alerts::{Webhook, WebhookError, WebhookFigures};
pub use build_error::BuildError;
pub use builder::AdminBuilder;
pub use database::{PoolGauges, ResizeError, SwapPool};
pub use health::Health;
pub use optimizer::DEFAULT_INTERVAL as DEFAULT_CYCLE_INTERVAL;
pub use optimizer::{Policy, Tuning};
pub use pitcrew_load as load;
pub use security::identity::{Identity, Role, Token};
pub use serve::ServeError;
pub use targets::BenchmarkTargets;

use pitcrew::{CacheHandle, LatencyHandle, MemoryHandle};

/// The admin router's state, and a handle on its background work. Clones are handles on the same state.
#[derive(Debug, Clone)]
pub struct Admin {
    inner: Arc<Inner>,
    generated_token: Option<String>,
    /// Whether somebody has said who may ask.
    is_configured: bool,
}

/// What routes and cycles share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) cache: Option<CacheHandle>,
    pub(crate) latency: Option<LatencyHandle>,
    pub(crate) memory: Option<MemoryHandle>,
    pub(crate) database: Option<Arc<database::Database>>,
    pub(crate) pools: Vec<database::NamedPool>,
    pub(crate) targets: BenchmarkTargets,
    pub(crate) load_tests: load_tests::LoadTests,
    pub(crate) cycles: optimizer::Cycles,
    pub(crate) background: background::Background,
    pub(crate) observed: observe::Observed,
    pub(crate) history: history::History,
    pub(crate) heat: heat::Heat,
    pub(crate) instance: instance::Instance,
    pub(crate) keep: keep::Keep,
    pub(crate) alerts: alerts::Alerts,
    /// Whether an alert that fires starts a cycle.
    pub(crate) alerts_start_cycles: bool,
    pub(crate) policy: Policy,
    pub(crate) probes: Vec<health::Probe>,
    /// Whether the app is not ready while its database is away.
    pub(crate) needs_database: bool,
    pub(crate) audit: Arc<audit::Audit>,
    pub(crate) answers: actions::Answers,
    pub(crate) auth: security::auth::Auth,
    pub(crate) hosts: security::host::Hosts,
    pub(crate) started: Instant,
}

impl Inner {
    /// What the parts in this process tell a page.
    pub(crate) fn seen(&self) -> observe::Seen {
        let latency = self.latency.as_ref();
        observe::Seen {
            times: latency.map(|latency| self.observed.times.for_page(latency)),
            cache: self.cache.as_ref().map(CacheHandle::stats),
        }
    }

    /// Whether the cache's second level answers; true where there is none. The cache's own figures know it from then on.
    pub(crate) async fn is_l2_up(&self) -> bool {
        match &self.cache {
            None => true,
            Some(cache) => cache.probe_l2().await != Some(false),
        }
    }
}

impl Admin {
    /// Begins with nothing configured.
    pub fn builder() -> AdminBuilder {
        AdminBuilder::default()
    }

    /// The router, to be nested under any prefix **after** the app's layers.
    ///
    /// Called inside a Tokio runtime it also starts the background cycle; elsewhere the first request does.
    pub fn router(&self) -> axum::Router {
        background::ensure_running(&self.inner);
        routes::router(Arc::clone(&self.inner))
    }

    /// The operator's token that [`AdminBuilder::build`] made because none was configured.
    #[must_use]
    pub fn generated_token(&self) -> Option<&str> {
        self.generated_token.as_deref()
    }

    /// Changes all tokens: those that are not named again are worth nothing from now on, and with them the sessions that were
    /// begun with them.
    ///
    /// # Errors
    /// [`BuildError`] says which token cannot be used; then nothing has changed.
    pub fn set_tokens(&self, tokens: impl IntoIterator<Item = Token>) -> Result<(), BuildError> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        self.inner.auth.set(security::identity::known(&tokens)?);
        Ok(())
    }

    /// Ends what runs by itself, a cycle and a load test under way, and the streams of clients; waits for them, at most
    /// `deadline`. Jobs of the database go on there.
    pub async fn shutdown(&self, deadline: Duration) {
        let _ = tokio::time::timeout(deadline, async {
            self.inner.background.stop().await;
            self.inner.cycles.stop().await;
            self.inner.load_tests.stop().await;
            keep::last(&self.inner).await;
        })
        .await;
    }
}
