//! The regions that every cache has.

use crate::cache::Region;

impl Region {
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

    pub(in crate::cache) fn built_in() -> Vec<Self> {
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
