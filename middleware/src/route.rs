//! A request's route label: what the closure says that the app gave to a layer's `route_label`, else axum's `MatchedPath` (feature
//! `axum`), else, but for the cache, axum's `NestedPath` with `/*` after it, else [`UNMATCHED`].
//!
//! A label is a template (`/orders/{id}`), never a path: 100,000 different paths must not make 100,000 series. What comes after a
//! layer's bound is counted under [`OVERFLOW`].

use std::{fmt, sync::Arc};

use http::request::Parts;

/// The label of a request that no route template is known for.
pub const UNMATCHED: &str = "unmatched";

/// The label under which routes beyond a layer's bound are counted together.
pub const OVERFLOW: &str = "overflow";

/// Bytes of a label at most. A longer one is no template but made of what a client sent, and counts under [`OVERFLOW`].
#[cfg(any(feature = "latency", feature = "memory"))]
pub const MAX_LABEL_BYTES: usize = 256;

type LabelFn = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// How a layer finds the label of a request.
#[derive(Clone, Default)]
pub(crate) struct Labeler {
    custom: Option<Arc<LabelFn>>,
}

impl Labeler {
    pub(crate) fn new(custom: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            custom: Some(Arc::new(custom)),
        }
    }

    /// The app's own closure goes first: who sets one wants it to win.
    #[cfg(any(feature = "cache", test))]
    pub(crate) fn label(&self, parts: &Parts) -> Label {
        if let Some(label) = self.custom(parts) {
            return Label::Owned(label.into_boxed_str());
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = parts.extensions.get::<axum::extract::MatchedPath>() {
            return Label::Matched(matched.clone());
        }
        Label::Unmatched
    }

    /// Whether the app has set a closure, which wants a request's whole head.
    #[cfg(any(feature = "latency", feature = "memory"))]
    pub(crate) fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// What the app's closure says.
    pub(crate) fn custom(&self, parts: &Parts) -> Option<String> {
        self.custom.as_ref().and_then(|custom| custom(parts))
    }
}

impl fmt::Debug for Labeler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labeler")
            .field("custom", &self.custom.is_some())
            .finish()
    }
}

/// What a request's extensions tell of its route, without a copy.
#[cfg(any(feature = "latency", feature = "memory"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template<'a> {
    /// axum's `MatchedPath`.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "axum tells it"))]
    Whole(&'a str),
    /// axum's `NestedPath` without a slash at its end: inside `nest_service` there is no `MatchedPath`, and the label is this with `/*`
    /// after it.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "axum tells it"))]
    Nested(&'a str),
    None,
}

#[cfg(any(feature = "latency", feature = "memory"))]
impl<'a> Template<'a> {
    #[cfg_attr(
        not(feature = "axum"),
        expect(unused_variables, reason = "axum tells it")
    )]
    #[inline]
    pub(crate) fn of(extensions: &'a http::Extensions) -> Self {
        #[cfg(feature = "axum")]
        if !extensions.is_empty() {
            use axum::extract::{MatchedPath, NestedPath};
            if let Some(matched) = extensions.get::<MatchedPath>() {
                return Self::Whole(matched.as_str());
            }
            if let Some(nested) = extensions.get::<NestedPath>() {
                return Self::Nested(nested.as_str().trim_end_matches('/'));
            }
        }
        Self::None
    }
}

/// A label that costs no allocation where axum already holds the template.
#[cfg(any(feature = "cache", test))]
#[derive(Clone, Debug)]
pub(crate) enum Label {
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
    Owned(Box<str>),
    Unmatched,
}

#[cfg(any(feature = "cache", test))]
impl Label {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            #[cfg(feature = "axum")]
            Self::Matched(matched) => matched.as_str(),
            Self::Owned(label) => label,
            Self::Unmatched => UNMATCHED,
        }
    }
}

/// The method as a label: a client may invent methods, so any unknown one is `OTHER`.
#[cfg(any(feature = "latency", feature = "memory"))]
pub(crate) fn method_label(method: &http::Method) -> &'static str {
    // The most frequent one without comparing texts.
    if *method == http::Method::GET {
        return "GET";
    }
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        "QUERY" => "QUERY",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> Parts {
        http::Request::builder()
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    #[test]
    fn without_axum_or_closure_a_request_is_unmatched() {
        assert_eq!(Labeler::default().label(&parts("/a/1")).as_str(), UNMATCHED);
    }

    #[test]
    fn the_closure_wins_and_may_decline() {
        let labeler = Labeler::new(|parts| {
            parts
                .uri
                .path()
                .starts_with("/a/")
                .then(|| "/a/{id}".to_owned())
        });
        assert_eq!(labeler.label(&parts("/a/1")).as_str(), "/a/{id}");
        assert_eq!(labeler.label(&parts("/b")).as_str(), UNMATCHED);
    }

    #[cfg(any(feature = "latency", feature = "memory"))]
    #[test]
    fn invented_methods_share_one_label() {
        let invented = http::Method::from_bytes(b"BREW").unwrap();
        assert_eq!(method_label(&invented), "OTHER");
        assert_eq!(method_label(&http::Method::GET), "GET");
    }
}
