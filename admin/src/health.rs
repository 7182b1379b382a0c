//! How the app and each of its parts are.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::Inner;

/// How something is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Health {
    /// It works.
    Up,
    /// It is away or ails, and the app goes on without.
    Degraded,
    /// The app cannot do its work.
    Down,
}

/// A component that the app itself tells of.
pub(crate) struct Probe {
    name: String,
    probe: Arc<dyn Fn() -> Health + Send + Sync>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Probe").field(&self.name).finish()
    }
}

impl Probe {
    pub(crate) fn new(
        name: impl Into<String>,
        probe: impl Fn() -> Health + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            probe: Arc::new(probe),
        }
    }
}

/// Every component that there is, by name.
pub(crate) async fn components(inner: &Inner) -> Vec<(String, Health)> {
    let mut found = Vec::new();
    if let Some(database) = &inner.database {
        let health = match database.probe().await {
            Ok(()) => Health::Up,
            Err(_) if inner.needs_database => Health::Down,
            Err(_) => Health::Degraded,
        };
        found.push(("database".to_owned(), health));
    }
    if inner.cache.is_some() {
        let is_up = inner.is_l2_up().await;
        let health = if is_up { Health::Up } else { Health::Degraded };
        found.push(("cache".to_owned(), health));
    }
    if let Some(memory) = &inner.memory {
        let guard = memory.snapshot().guard;
        let is_refusing = guard.is_some_and(|guard| guard.level == "hard");
        let health = if is_refusing {
            Health::Degraded
        } else {
            Health::Up
        };
        found.push(("memory".to_owned(), health));
    }
    found.extend(
        inner
            .probes
            .iter()
            .map(|probe| (probe.name.clone(), (probe.probe)())),
    );
    found.sort();
    found
}
