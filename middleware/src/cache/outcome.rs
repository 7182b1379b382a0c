//! What became of a request, and why.

/// Why the cache stayed out of a request, or its answer out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum BypassReason {
    /// Neither GET nor HEAD.
    Method,
    /// A GET or HEAD with content, which the key does not cover (RFC 9110, 9.3.1).
    RequestBody,
    /// The request says `no-store` (RFC 9111, 5.2.1.5).
    RequestNoStore,
    /// The request has `Authorization` and the answer allows no sharing (RFC 9111, 3.5).
    Authorization,
    /// The request has a `Cookie` and the answer is neither `public` nor `s-maxage`.
    Cookie,
    /// The request has `Range`.
    Range,
    /// The request asks for an upgrade, or the answer switched protocols.
    Upgrade,
    /// `X-Original-URL`, `X-Rewrite-URL` or a method override: the key would not say what is answered.
    Rewrite,
    /// A field of the key is longer than its bound, is not text, or stands twice.
    Key,
    /// The answer's status is not stored.
    Status,
    /// The answer says `no-store`.
    NoStore,
    /// The answer says `no-cache`.
    NoCache,
    /// The answer says `private`.
    Private,
    /// The answer sets a cookie.
    SetCookie,
    /// The answer varies on `*`, or on more than the cache keeps.
    Vary,
    /// The answer says nothing about freshness and its region has no TTL, or it is stale already.
    NotFresh,
    /// The answer's directives contradict each other or cannot be read.
    Malformed,
    /// The body is larger than the region stores.
    TooLarge,
    /// An event stream, or an answer announced to have trailers.
    Stream,
    /// The region is unknown to a cache that was asked for it.
    Internal,
}

impl BypassReason {
    pub(super) const ALL: [Self; 20] = [
        Self::Method,
        Self::RequestBody,
        Self::RequestNoStore,
        Self::Authorization,
        Self::Cookie,
        Self::Range,
        Self::Upgrade,
        Self::Rewrite,
        Self::Key,
        Self::Status,
        Self::NoStore,
        Self::NoCache,
        Self::Private,
        Self::SetCookie,
        Self::Vary,
        Self::NotFresh,
        Self::Malformed,
        Self::TooLarge,
        Self::Stream,
        Self::Internal,
    ];

    /// The reason as it stands in `Cache-Status` and in [`CacheStats::bypass_reasons`](super::CacheStats).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestBody => "request-body",
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::Range => "range",
            Self::Upgrade => "upgrade",
            Self::Rewrite => "rewrite",
            Self::Key => "key",
            Self::Status => "response-status",
            Self::NoStore => "response-no-store",
            Self::NoCache => "response-no-cache",
            Self::Private => "response-private",
            Self::SetCookie => "response-set-cookie",
            Self::Vary => "response-vary",
            Self::NotFresh => "response-not-fresh",
            Self::Malformed => "response-malformed",
            Self::TooLarge => "response-too-large",
            Self::Stream => "response-stream",
            Self::Internal => "internal",
        }
    }
}
