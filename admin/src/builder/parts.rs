//! The parts that the router shows.

use std::sync::Arc;

use pitcrew::{CacheHandle, LatencyHandle, MemoryHandle};

use super::AdminBuilder;
use crate::database::{NamedPool, PoolGauges, SwapPool};
use crate::health::{Health, Probe};

impl AdminBuilder {
    /// The cache layer's handle.
    pub fn cache(mut self, handle: CacheHandle) -> Self {
        self.cache = Some(handle);
        self
    }

    /// The latency layer's handle.
    pub fn latency(mut self, handle: LatencyHandle) -> Self {
        self.latency = Some(handle);
        self
    }

    /// The memory layer's handle.
    pub fn memory(mut self, handle: MemoryHandle) -> Self {
        self.memory = Some(handle);
        self
    }

    /// The database's address: a URL or a libpq-style string. The admin router opens at most 3 connections of its own,
    /// when they are first needed.
    ///
    /// Connections are plain unless the address says `sslmode=require`; then they are encrypted and the server is verified
    /// against the system's root certificates.
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database = Some(url.into());
        self
    }

    /// Shows one of the app's own connection pools. `gauges` is called for each answer and must not block.
    ///
    /// With bb8: `move || { let state = pool.state(); PoolGauges { connections: state.connections, .. } }`.
    pub fn pool(
        mut self,
        name: impl Into<String>,
        gauges: impl Fn() -> PoolGauges + Send + Sync + 'static,
    ) -> Self {
        self.pools.push(NamedPool {
            name: name.into(),
            gauges: Arc::new(gauges),
            resize: None,
        });
        self
    }

    /// Shows one of the app's own bb8 pools, which `POST /database/pools/{name}/resize` gives another size.
    pub fn swap_pool<M: bb8::ManageConnection>(
        mut self,
        name: impl Into<String>,
        pool: Arc<SwapPool<M>>,
    ) -> Self {
        self.pools.push(NamedPool::swapped(name.into(), pool));
        self
    }

    /// Another component of `GET /health`, such as a WebSocket hub: `probe` tells how it is, and must not block.
    pub fn probe(
        mut self,
        name: impl Into<String>,
        probe: impl Fn() -> Health + Send + Sync + 'static,
    ) -> Self {
        self.probes.push(Probe::new(name, probe));
        self
    }

    /// Whether `GET /health` says `DOWN`, and `GET /health/ready` answers 503, while the database is away. Default: no; the
    /// app goes on with what it has, and is `DEGRADED`.
    pub fn needs_database(mut self, needs: bool) -> Self {
        self.needs_database = needs;
        self
    }
}
