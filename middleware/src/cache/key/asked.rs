//! What the client asked for, where a router has made the request another on the way.

use http::{header::HOST, request::Parts};

/// The target as the client asked for it, where axum remembers that.
pub(in crate::cache) fn asked_uri(parts: &Parts) -> &http::Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    &parts.uri
}

/// Path and query as the client asked for them.
pub(in crate::cache) fn asked_target(parts: &Parts) -> &str {
    let target = asked_uri(parts).path_and_query();
    target.map_or("/", http::uri::PathAndQuery::as_str)
}

/// The host that the client asked.
pub(in crate::cache) fn asked_host(parts: &Parts) -> Option<&str> {
    let authority = asked_uri(parts).authority();
    authority
        .map(|authority| authority.as_str())
        .or_else(|| parts.headers.get(HOST)?.to_str().ok())
}
