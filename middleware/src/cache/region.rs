//! Regions: named kinds of cached answers, each with limits of its own.

use std::{borrow::Cow, time::Duration};

/// Largest body a region stores unless told otherwise.
pub const DEFAULT_MAX_BODY_BYTES: usize = 1 << 20;

/// A named kind of cached answers with its own limits. A request belongs to one region; see
/// [`CacheBuilder::region_for`](super::CacheBuilder::region_for).
#[derive(Clone, Debug)]
pub struct Region {
    pub(super) name: Cow<'static, str>,
    pub(super) ttl: Option<Duration>,
    pub(super) max_body_bytes: usize,
}

impl Region {
    /// A region with the defaults: no TTL of its own, bodies up to [`DEFAULT_MAX_BODY_BYTES`].
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            ttl: None,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
        }
    }

    /// `api`: where a request belongs for which nothing else was said.
    #[must_use]
    pub fn api() -> Self {
        Self::new("api")
    }

    /// `queries`: answers built from one database query.
    #[must_use]
    pub fn queries() -> Self {
        Self::new("queries")
    }

    /// `metrics`: figures and time series.
    #[must_use]
    pub fn metrics() -> Self {
        Self::new("metrics")
    }

    /// `sessions`: small answers about a session.
    #[must_use]
    pub fn sessions() -> Self {
        Self::new("sessions")
    }

    /// `dashboard_config`: how dashboards are laid out.
    #[must_use]
    pub fn dashboard_config() -> Self {
        Self::new("dashboard_config")
    }

    /// `dashboard_data`: what dashboards show.
    #[must_use]
    pub fn dashboard_data() -> Self {
        Self::new("dashboard_data")
    }

    /// `static_assets`: files; bodies up to 8 MiB.
    #[must_use]
    pub fn static_assets() -> Self {
        Self::new("static_assets").max_body_bytes(8 << 20)
    }

    /// How long a `200` is fresh when the handler said nothing about it: no `Cache-Control`, no `Expires`. What the
    /// handler says always wins. Default: none, such answers are not stored.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Largest body that is stored; a larger one streams through. Default [`DEFAULT_MAX_BODY_BYTES`].
    #[must_use]
    pub fn max_body_bytes(mut self, max_body_bytes: usize) -> Self {
        self.max_body_bytes = max_body_bytes;
        self
    }

    /// The region's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn built_in() -> Vec<Self> {
        vec![
            Self::api(),
            Self::queries(),
            Self::metrics(),
            Self::sessions(),
            Self::dashboard_config(),
            Self::dashboard_data(),
            Self::static_assets(),
        ]
    }
}
