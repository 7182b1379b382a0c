//! Paths that are never refused.

use crate::glob::{Match, matches};

/// Globs over paths.
#[derive(Clone, Debug, Default)]
pub(in crate::memory) struct Exempt(Vec<String>);

impl Exempt {
    pub(super) fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }

    /// A path that takes too long to be decided is one that a client made up, and not exempt.
    pub(in crate::memory) fn has(&self, path: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| matches(pattern, path) == Match::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::DEFAULT_EXEMPT, Exempt};

    #[test]
    fn health_routes_are_exempt_and_what_only_begins_like_one_is_not() {
        let exempt = Exempt::new(DEFAULT_EXEMPT);
        for (path, is_so) in [
            ("/health", true),
            ("/health/live", true),
            ("/healthz", true),
            ("/livez/ping", true),
            ("/readyz", true),
            ("/files/x/health", false),
            ("/files/healthz/live", false),
            ("/healthcare/prices", false),
            ("/readyzebra", false),
            ("/api/health/x", false),
            ("/", false),
        ] {
            assert_eq!(exempt.has(path), is_so, "{path}");
        }
    }

    #[test]
    fn a_hostile_path_takes_no_time_and_is_not_exempt() {
        let exempt = Exempt::new(["*a".repeat(30) + "b"]);
        assert!(!exempt.has(&"a".repeat(10_000)));
    }
}
