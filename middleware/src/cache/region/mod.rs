//! Regions: named kinds of cached answers, each with limits of its own.

pub(super) mod built_in;
pub(super) mod predicate;

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode, request::Parts};

use crate::cache::{
    key::rule::KeyRule,
    policy::{Field, Fields},
    region::predicate::{AnswerPredicate, RequestPredicate},
};
use crate::clock::LONGEST;

/// Largest body a region stores unless told otherwise.
pub const DEFAULT_MAX_BODY_BYTES: usize = 1 << 20;

/// Bodies above this are compressed in Redis unless told otherwise.
pub const DEFAULT_COMPRESS_ABOVE_BYTES: usize = 4 << 10;

/// Bytes of a request's content that its key is meant to hold, where nothing speaks for another number: searches and GraphQL
/// queries are far shorter.
pub const DEFAULT_BODY_IN_KEY_BYTES: usize = 64 << 10;

/// Most bytes of a request's content that a key holds, whatever a region says.
pub const MAX_BODY_IN_KEY_BYTES: usize = 1 << 20;

/// A named kind of cached answers with its own limits. A request belongs to one region; see
/// [`CacheBuilder::region_for`](crate::cache::CacheBuilder::region_for).
#[derive(Clone, Debug)]
pub struct Region {
    pub(in crate::cache) name: Cow<'static, str>,
    pub(in crate::cache) ttl: Option<Duration>,
    pub(in crate::cache) max_body_bytes: usize,
    pub(in crate::cache) heuristic: bool,
    pub(in crate::cache) errors: bool,
    pub(in crate::cache) negative: Vec<(StatusCode, Duration)>,
    pub(in crate::cache) stale_while_revalidate: Duration,
    pub(in crate::cache) stale_if_error: Duration,
    pub(in crate::cache) early_refresh: f64,
    pub(in crate::cache) compress_above: usize,
    pub(in crate::cache) search_path: Option<Box<str>>,
    pub(in crate::cache) client_directives: bool,
    pub(in crate::cache) normalize_vary: bool,
    pub(in crate::cache) partial: bool,
    pub(in crate::cache) post: bool,
    /// Bytes of a safe POST's content that go into its key.
    pub(in crate::cache) body_in_key: Option<usize>,
    pub(in crate::cache) insecure_set_cookie: bool,
    pub(in crate::cache) insecure_cookie: bool,
    pub(in crate::cache) key: KeyRule,
    pub(in crate::cache) requests: Option<RequestPredicate>,
    pub(in crate::cache) answers: Option<AnswerPredicate>,
}

impl Region {
    /// A region with the defaults: no TTL of its own, bodies up to [`DEFAULT_MAX_BODY_BYTES`].
    ///
    /// # Panics
    ///
    /// Where the name is empty.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        assert!(
            !name.is_empty(),
            "a region wants a name, by which it is purged and counted"
        );
        Self {
            name,
            ttl: None,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            heuristic: false,
            errors: false,
            negative: Vec::new(),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            early_refresh: 0.0,
            compress_above: DEFAULT_COMPRESS_ABOVE_BYTES,
            search_path: None,
            client_directives: true,
            normalize_vary: false,
            partial: false,
            post: false,
            body_in_key: None,
            insecure_set_cookie: false,
            insecure_cookie: false,
            key: KeyRule::default(),
            requests: None,
            answers: None,
        }
    }

    /// How long a `200` is fresh when the handler said nothing about it: no `Cache-Control`, no `Expires`. What the
    /// handler says always wins. Default: none, such answers are not stored.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl.min(LONGEST));
        self
    }

    /// Largest body that is stored; a larger one streams through. Default [`DEFAULT_MAX_BODY_BYTES`].
    #[must_use]
    pub fn max_body_bytes(mut self, max_body_bytes: usize) -> Self {
        self.max_body_bytes = max_body_bytes;
        self
    }

    /// Guesses freshness from `Last-Modified` where the handler says none: a tenth of the time since the last change, a day
    /// at most (RFC 9111, 4.2.2). Default: off.
    #[must_use]
    pub fn heuristic(mut self, heuristic: bool) -> Self {
        self.heuristic = heuristic;
        self
    }

    /// Stores errors (4xx, 5xx) too, where the handler says for how long. Default: off, so that an error which somebody
    /// provokes never becomes everyone's.
    #[must_use]
    pub fn errors(mut self, errors: bool) -> Self {
        self.errors = errors;
        self
    }

    /// Negative caching: how long an answer with this error status is fresh when the handler said nothing about it. Default:
    /// none.
    ///
    /// # Panics
    ///
    /// Where `status` is no error (4xx, 5xx): for what succeeds there is [`Self::ttl`].
    #[must_use]
    pub fn negative_ttl(mut self, status: StatusCode, ttl: Duration) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "negative_ttl wants a status from 400 to 599, not {status}; for what succeeds there is ttl"
        );
        self.negative.retain(|(known, _)| *known != status);
        self.negative.push((status, ttl.min(LONGEST)));
        self
    }

    /// How long after its freshness an answer is served while a new one is fetched in the background, where the answer says
    /// nothing about it (RFC 5861, 3). `must-revalidate`, `no-cache` and `s-maxage` switch it off. Default: zero.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window.min(LONGEST);
        self
    }

    /// How long after its freshness an answer stands in for an error of the handler (500, 502, 503, 504, or an error of the
    /// service), where the answer says nothing about it (RFC 5861, 4). Switched off as
    /// [`Self::stale_while_revalidate`] is. Default: zero.
    #[must_use]
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window.min(LONGEST);
        self
    }

    /// Fetches a fresh answer anew in the background shortly before it becomes stale, each hit with a probability that grows
    /// towards that moment and with the time that the handler takes, so that a popular answer hardly ever becomes stale, and
    /// instances do not all fetch at once (XFetch: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede
    /// Prevention", VLDB 2015). `beta` 1.0 is the paper's optimum; more is earlier. Default: 0, off.
    ///
    /// # Panics
    ///
    /// Where `beta` is negative, infinite or no number.
    #[must_use]
    pub fn early_refresh(mut self, beta: f64) -> Self {
        assert!(
            beta.is_finite() && beta >= 0.0,
            "early_refresh wants a number from 0 (off) on, 1.0 for the optimum, not {beta}"
        );
        self.early_refresh = beta;
        self
    }

    /// Bodies above so many bytes are compressed in Redis (zstd, level 1; feature `zstd`), where that saves a tenth at least.
    /// `usize::MAX` switches it off. Default [`DEFAULT_COMPRESS_ABOVE_BYTES`].
    #[must_use]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// The schema of tables that a cached query names without one (feature `query`). Default `public`.
    #[must_use]
    pub fn search_path(mut self, schema: impl Into<Box<str>>) -> Self {
        self.search_path = Some(schema.into());
        self
    }

    /// Whether a client's `Cache-Control` and `Pragma` count. A server may refuse to let its clients make it work
    /// (RFC 9111, 5.2.1: "advisory"). Default: they count.
    #[must_use]
    pub fn client_directives(mut self, honour: bool) -> Self {
        self.client_directives = honour;
        self
    }

    /// Takes for one variant what means the same in a field that `Vary` names (RFC 9111, 4.1): a list in one line or in
    /// several, with space around its members or without; for `Accept-Encoding` and `Accept-Language` in any case and order
    /// too, since preference is said by weights (`q=`). And an answer that names its `Content-Language` serves whoever
    /// prefers that language most. More requests then share an answer; right where handlers read such fields as lists, and
    /// choose languages by weight. Default: off.
    #[must_use]
    pub fn normalize_vary(mut self, normalize: bool) -> Self {
        self.normalize_vary = normalize;
        self
    }

    /// Stores parts (206) too, in this process alone, one for each key: a request for a range within it is answered from it
    /// (RFC 9111, 3.3). Parts are neither combined nor made whole. Ranges of whole stored answers are always served.
    /// Default: off.
    #[must_use]
    pub fn partial(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// Stores the answer to a POST for later GETs, where it says that it is what a GET would give: explicit freshness and a
    /// `Content-Location` that is the target (RFC 9110, 9.3.3). Not one that was being made while something was purged that
    /// names it, by whomever, its own handler included. With Redis it is kept until the change that the POST itself is comes back
    /// from there as a purge, which is a moment. Of no effect with [`Self::body_in_key`]. Default: off.
    #[must_use]
    pub fn store_post(mut self, store: bool) -> Self {
        self.post = store;
        self
    }

    /// Says that **a POST in this region changes nothing**: a search, a GraphQL query. It is then cached as a GET is, with its
    /// content, up to `max_bytes`, in the key, and makes nothing old. So is a QUERY
    /// (draft-ietf-httpbis-safe-method-w-body). Choose the region by path
    /// ([`CacheBuilder::region_for`](crate::cache::CacheBuilder::region_for)), so that no POST which does change something is in it: of
    /// two that are alike, only the first would reach its handler.
    ///
    /// Needs the layer of [`CacheLayer::with_body_keys`](crate::cache::CacheLayer::with_body_keys), which reads the content ahead;
    /// without it such a request goes to the handler with `detail=request-body`, as does one whose content fails, ends in
    /// trailers or has another length than it said. Longer content, or in more than 1,024 pieces, is `request-too-large`,
    /// content that does not come within [`CacheBuilder::wait_deadline`](crate::cache::CacheBuilder::wait_deadline)
    /// `request-timeout`. Of all such requests together 64 MiB are waited for at one time; past that one whose content does not
    /// come at once is `request-backlog`.
    ///
    /// The key is kept with the answer, in Redis too, and counts where bytes are counted. A hit copies, hashes and compares it: it
    /// takes 1 to 2 µs with short content, 4 with 4 KiB, 25 with 64 KiB. [`DEFAULT_BODY_IN_KEY_BYTES`] suits most; above [`MAX_BODY_IN_KEY_BYTES`] is as that. Default: off.
    #[must_use]
    pub fn body_in_key(mut self, max_bytes: usize) -> Self {
        self.body_in_key = Some(max_bytes.min(MAX_BODY_IN_KEY_BYTES));
        self
    }

    /// Leaves these query parameters out of the key; a name that ends in `*` stands for all that begin so (`utm_*`). They are
    /// taken out of the request too: what the handler could still see would let one client decide everyone's answer. Default:
    /// none.
    #[must_use]
    pub fn ignore_query(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.key
            .ignored_query
            .extend(names.into_iter().map(Into::into));
        self
    }

    /// Brings query parameters into the order of their names, for the key and for the handler. Those of one name stay in
    /// theirs. Default: off, since to a handler the order may mean something.
    #[must_use]
    pub fn sort_query(mut self, sort: bool) -> Self {
        self.key.sort_query = sort;
        self
    }

    /// Adds these request fields to the key, as if every answer had them in `Vary`. Default: none.
    #[must_use]
    pub fn key_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.key.headers.extend(names);
        self
    }

    /// Adds these cookies to the key. Whether a request with cookies may share at all is another question: its answer has to
    /// say `public` or `s-maxage`. Default: none.
    #[must_use]
    pub fn key_cookies(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.key.cookies.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds to the key what this closure says of a request. Default: nothing.
    #[must_use]
    pub fn key_by(mut self, by: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        self.key.by = Some(Arc::new(by));
        self
    }

    /// Caches for each identity apart: where this closure says who asks, that is part of the key, and `Authorization`,
    /// `Cookie` and `private` keep nothing out any more, since nobody else ever gets the answer (RFC 9111, 1: a private cache
    /// is dedicated to a single user). Where it says nothing, the rules for everybody hold.
    ///
    /// The identity has to be **verified** by the time the request comes here: put the layer inside of what authenticates. A
    /// closure that reads an unchecked field lets everyone who writes it read the other's answers.
    #[must_use]
    pub fn per_identity(
        mut self,
        identity: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.key.identity = Some(Arc::new(identity));
        self
    }

    /// Looks at requests for which this holds alone; the others go to the handler past the cache (`detail=region`). Given
    /// twice, both have to hold. Default: every request.
    #[must_use]
    pub fn only_requests(mut self, predicate: RequestPredicate) -> Self {
        self.requests = Some(match self.requests {
            Some(before) => before.and(predicate),
            None => predicate,
        });
        self
    }

    /// Stores answers for which this holds alone (`detail=response-region` on the others); what may not be stored stays
    /// out whatever it says. Given twice, both have to hold. Default: every answer.
    #[must_use]
    pub fn only_answers(mut self, predicate: AnswerPredicate) -> Self {
        self.answers = Some(match self.answers {
            Some(before) => before.and(predicate),
            None => predicate,
        });
        self
    }

    /// Stores answers with `Set-Cookie` and gives every client the same cookie. Hardly ever right. Default: off.
    #[must_use]
    pub fn insecure_store_set_cookie(mut self, store: bool) -> Self {
        self.insecure_set_cookie = store;
        self
    }

    /// Takes no notice of a request's `Cookie`: whoever brings one is given the stored answer, and the answer that was made
    /// for one is stored for all. Right only where no handler of this region reads cookies. Default: off.
    #[must_use]
    pub fn insecure_ignore_cookie(mut self, ignore: bool) -> Self {
        self.insecure_cookie = ignore;
        self
    }

    pub(in crate::cache) fn negative_ttl_of(&self, status: StatusCode) -> Option<Duration> {
        let mut known = self.negative.iter();
        known
            .find(|(negative, _)| *negative == status)
            .map(|(_, ttl)| *ttl)
    }

    /// Bytes of content that the key of a request by this method and with these fields holds; `None` where it holds none. Of
    /// one that may mean another method than its own nobody has said that it is safe.
    pub(in crate::cache) fn content_in_key(
        &self,
        method: &Method,
        fields: Fields,
    ) -> Option<usize> {
        self.body_in_key.filter(|_| {
            may_be_safe(method) && !fields.has(Field::Rewriting) && !fields.has(Field::Connection)
        })
    }

    /// The region's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Whether a request by this method may be one with content that changes nothing. Names of methods are case-sensitive.
pub(in crate::cache) fn may_be_safe(method: &Method) -> bool {
    *method == Method::POST || method.as_str() == "QUERY"
}
