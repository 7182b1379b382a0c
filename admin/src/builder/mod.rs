//! Configuration, checked as a whole before anything starts. One file a role: what is shown, who may ask, what load tests may do, how it
//! behaves; and the check.

mod access;
mod build;
mod conduct;
mod load;
mod parts;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pitcrew::{CacheHandle, LatencyHandle, MemoryHandle};
use pitcrew_load::Ceilings;

use crate::BenchmarkTargets;
use crate::alerts::{AlertRule, AlertSink};
use crate::database::NamedPool;
use crate::health::Probe;
use crate::optimizer::Policy;
use crate::security::auth::Hook;
use crate::security::host::Hosts;
use crate::security::identity::Token;

/// Builds an [`Admin`](crate::Admin). Every part is optional; routes of a part that is not there say which setter adds it.
#[derive(Default)]
#[must_use]
pub struct AdminBuilder {
    cache: Option<CacheHandle>,
    latency: Option<LatencyHandle>,
    memory: Option<MemoryHandle>,
    database: Option<String>,
    pools: Vec<NamedPool>,
    targets: BenchmarkTargets,
    self_address: Option<String>,
    load_targets: Vec<String>,
    load_ceilings: Ceilings,
    load_database: Option<String>,
    load_database_writes: bool,
    tokens: Vec<Token>,
    hook: Option<Hook>,
    insecure_cookies: bool,
    audit_file: Option<PathBuf>,
    alerts: Vec<AlertRule>,
    without_alerts: Vec<String>,
    sinks: Vec<Arc<dyn AlertSink>>,
    cycles_only_on_schedule: bool,
    policy: Policy,
    probes: Vec<Probe>,
    needs_database: bool,
    hosts: Hosts,
    cycle_interval: Option<Duration>,
    instance: Option<String>,
    environment: Option<String>,
    keep_in_database: bool,
}

impl fmt::Debug for AdminBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AdminBuilder")
            .field("tokens", &self.tokens)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
