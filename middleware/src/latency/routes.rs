//! Which routes a rule is about.

use crate::glob::{Match, matches};

/// Routes, and forms of statements, that may be allowed to repeat statements at most: of each kind so many.
pub const MAX_ALLOWED: usize = 64;

/// Longest glob.
pub(crate) const MAX_GLOB_BYTES: usize = 1_024;

/// A glob over route templates, or over `METHOD /route` where it has a space in it: `/orders/{id}`, `/orders/*`, `GET /orders*`. `*` is
/// any run of characters, `?` any one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteGlob(Box<str>);

impl RouteGlob {
    pub(crate) fn new(glob: &str) -> Self {
        Self(glob.trim().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// It names something, and can be held against routes in little time.
    pub(crate) fn is_usable(&self) -> bool {
        is_usable(&self.0)
    }

    /// One that takes too long to be decided names no route.
    pub(crate) fn names(&self, method: &str, route: &str) -> bool {
        let found = if self.0.contains(' ') {
            matches(&self.0, &format!("{method} {route}"))
        } else {
            matches(&self.0, route)
        };
        found == Match::Yes
    }
}

/// The same of any glob.
pub(crate) fn is_usable(glob: &str) -> bool {
    !glob.is_empty() && glob.len() <= MAX_GLOB_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_method_or_without() {
        for (glob, expected) in [
            ("/orders/{id}", true),
            ("/orders/*", true),
            ("GET /orders/*", true),
            ("* /orders/*", true),
            ("POST /orders/*", false),
            ("/parts/*", false),
            ("*", true),
        ] {
            let glob = RouteGlob::new(glob);
            assert_eq!(glob.names("GET", "/orders/{id}"), expected, "{glob:?}");
        }
        assert!(!RouteGlob::new(" ").is_usable());
        assert!(!RouteGlob::new(&"a".repeat(MAX_GLOB_BYTES + 1)).is_usable());
    }
}
