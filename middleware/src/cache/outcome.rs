//! What became of a request, and why.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::text::Text;

/// RFC 9211.
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why the cache stayed out of a request, or its answer out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum BypassReason {
    /// Neither GET nor HEAD, nor a POST or QUERY that its region calls safe.
    Method,
    /// The request has content that the key does not cover (RFC 9110, 9.3.1): it is a GET or HEAD, or the content was not read,
    /// failed, ended in trailers, or has another length than its fields say.
    RequestBody,
    /// The content of a safe request is longer, or in more pieces, than goes into a key.
    RequestTooLarge,
    /// The content of a safe request did not come in time.
    RequestTimeout,
    /// Too much content of other safe requests was on its way already: 64 MiB.
    RequestBacklog,
    /// The request says `no-store` (RFC 9111, 5.2.1.5).
    RequestNoStore,
    /// The request has `Authorization` and the answer allows no sharing (RFC 9111, 3.5).
    Authorization,
    /// The request has a `Cookie` and the answer is neither `public` nor `s-maxage`.
    Cookie,
    /// The request has `Range` and nothing whole is stored, or the answer is a part.
    Range,
    /// The request has `If-Match` or `If-Unmodified-Since`, which only the handler can judge.
    Precondition,
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
    /// The body is larger than the region stores, or there are more than 8,192 fields.
    TooLarge,
    /// An event stream, or an answer announced to have trailers.
    Stream,
    /// The region leaves such requests to the handler ([`Region::only_requests`](super::Region::only_requests)).
    Region,
    /// [`CacheBuilder::region_for`](super::CacheBuilder::region_for) names a region that there is not.
    UnknownRegion,
    /// The same cache stands further out on the request's way already.
    Nested,
    /// The region does not store such answers ([`Region::only_answers`](super::Region::only_answers)).
    ResponseRegion,
}

impl BypassReason {
    pub(super) const ALL: [Self; 27] = [
        Self::Method,
        Self::RequestBody,
        Self::RequestTooLarge,
        Self::RequestTimeout,
        Self::RequestBacklog,
        Self::RequestNoStore,
        Self::Authorization,
        Self::Cookie,
        Self::Range,
        Self::Precondition,
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
        Self::Region,
        Self::UnknownRegion,
        Self::Nested,
        Self::ResponseRegion,
    ];

    /// The reason as it stands in `Cache-Status` and in [`CacheStats::bypass_reasons`](super::CacheStats).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestBody => "request-body",
            Self::RequestTooLarge => "request-too-large",
            Self::RequestTimeout => "request-timeout",
            Self::RequestBacklog => "request-backlog",
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::Range => "range",
            Self::Precondition => "precondition",
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
            Self::Region => "region",
            Self::UnknownRegion => "unknown-region",
            Self::Nested => "nested",
            Self::ResponseRegion => "response-region",
        }
    }
}

/// Why there was nothing to answer from (RFC 9211, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Miss {
    /// Nothing is stored for the key.
    Uri,
    /// Something is, but for other requests: another variant, or not for these credentials.
    Vary,
    /// What is stored is stale, or too old for what the client takes.
    Stale,
    /// What is stored was purged.
    Purged,
    /// The client asked for a new answer.
    Request,
    /// What the method means has to be done by the handler.
    Method,
    /// The client has written what this instance has not heard of.
    Behind,
}

impl Miss {
    pub(super) const ALL: [Self; 7] = [
        Self::Uri,
        Self::Vary,
        Self::Stale,
        Self::Purged,
        Self::Request,
        Self::Method,
        Self::Behind,
    ];

    /// As figures and events call it: by more words than the RFC has.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Purged => "purged",
            Self::Behind => BEHIND,
            _ => self.as_str(),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Uri => "uri-miss",
            Self::Vary => "vary-miss",
            Self::Stale | Self::Purged => "stale",
            Self::Request => "request",
            Self::Method => "method",
            Self::Behind => "bypass",
        }
    }

    /// What the RFC's word leaves open.
    const fn detail(self) -> Option<&'static str> {
        match self {
            Self::Behind => Some(BEHIND),
            _ => None,
        }
    }
}

const BEHIND: &str = "behind";

/// What became of a request, as `Cache-Status` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// From this process.
    Hit,
    /// From Redis.
    L2,
    /// From this process and stale: the client takes it so.
    Stale,
    /// From this process and stale, while a new one is fetched in the background.
    StaleWhileRevalidate,
    /// From this process and purged softly, while a new one is fetched in the background.
    PurgedSoftly,
    /// From this process and stale, because the handler failed.
    StaleIfError,
    /// From this process: the handler has confirmed it.
    Revalidated(Miss),
    /// From another request's answer.
    Collapsed(Miss),
    /// From the handler, and stored.
    Stored(Miss),
    /// From the handler, being collected while it streams; whether it is stored shows at its end.
    Streaming(Miss),
    /// From the handler, not stored.
    Miss(Miss),
    /// From the handler, and its head says that it is not to be stored.
    Unstorable(Miss, BypassReason),
    /// The cache stayed out of it.
    Bypass(BypassReason),
    /// Nothing is stored and the client wanted no call of the handler.
    OnlyIfCached,
}

impl Outcome {
    /// Adds our member of `Cache-Status` after those of caches nearer to the origin (RFC 9211, 2).
    pub(super) fn write(self, headers: &mut HeaderMap, ttl_s: Option<i64>) {
        headers.append(CACHE_STATUS, self.member(ttl_s));
    }

    /// Our member of `Cache-Status`. `ttl_s` is for how long a stored answer stays fresh, below zero when it is stale (2.4).
    pub(super) fn member(self, ttl_s: Option<i64>) -> HeaderValue {
        let with_ttl = |text: Text| match ttl_s {
            Some(ttl_s) => text.add("; ttl=").number(ttl_s),
            None => text,
        };
        let hit = || with_ttl(Text::new("pitcrew; hit"));
        let forwarded = |why: &str| Text::new("pitcrew; fwd=").add(why);
        // There is one detail: why the cache was passed by comes before what it made of the answer.
        let missed = |miss: Miss, what: &str, detail: Option<&str>| {
            let text = forwarded(miss.as_str()).add(what);
            match miss.detail().or(detail) {
                Some(detail) => text.add("; detail=").add(detail),
                None => text,
            }
        };
        let text = match self {
            Self::Hit => hit(),
            Self::L2 => hit().add("; detail=l2"),
            Self::Stale => hit().add("; detail=max-stale"),
            Self::StaleWhileRevalidate => hit().add("; detail=stale-while-revalidate"),
            // Its time to live says nothing any more.
            Self::PurgedSoftly => Text::new("pitcrew; hit; detail=soft-purge"),
            Self::StaleIfError => with_ttl(forwarded("stale")).add("; detail=stale-if-error"),
            Self::Revalidated(miss) => {
                with_ttl(forwarded(miss.as_str()).add("; fwd-status=304")).add("; stored")
            }
            Self::Collapsed(miss) => forwarded(miss.as_str()).add("; collapsed"),
            Self::Stored(miss) => missed(miss, "; stored", None),
            Self::Streaming(miss) => missed(miss, "", Some("streaming")),
            Self::Miss(miss) => missed(miss, "", None),
            Self::Unstorable(miss, reason) => missed(miss, "", Some(reason.as_str())),
            Self::Bypass(BypassReason::Method) => forwarded("method"),
            Self::Bypass(reason) => forwarded("bypass; detail=").add(reason.as_str()),
            Self::OnlyIfCached => Text::new("pitcrew; detail=only-if-cached"),
        };
        text.value()
    }
}
