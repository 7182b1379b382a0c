//! Keys whose last answer could not be shared, so that requests for them never wait for one another.

use std::time::Duration;

use http::StatusCode;
use quick_cache::sync;

use crate::cache::{
    key::CacheKey, outcome::BypassReason, policy::request::Credentials, store::PassThroughBuilder,
};

/// Keys that are remembered as uncacheable at most; some 32 bytes each.
const UNCACHEABLE_KEYS: usize = 8_192;
/// How long a key is remembered as uncacheable: an app that changes its mind is noticed at the next answer anyway,
/// only its first requests after that do not coalesce.
const UNCACHEABLE_FOR: Duration = Duration::from_secs(60);

/// A bounded memory, by key and class of credentials.
pub(in crate::cache) struct Uncacheable(
    sync::Cache<u64, Duration, quick_cache::UnitWeighter, PassThroughBuilder>,
);

impl Uncacheable {
    pub(in crate::cache) fn new() -> Self {
        Self(sync::Cache::with(
            UNCACHEABLE_KEYS,
            UNCACHEABLE_KEYS as u64,
            quick_cache::UnitWeighter,
            PassThroughBuilder::default(),
            sync::DefaultLifecycle::default(),
        ))
    }

    pub(in crate::cache) fn knows(
        &self,
        key: &CacheKey,
        credentials: Credentials,
        now: Duration,
    ) -> bool {
        let until = self.0.get(&mark(key, credentials));
        until.is_some_and(|until| until > now)
    }

    /// Errors are passing, and what speaks of one request says nothing of the answer to another: neither is remembered.
    pub(in crate::cache) fn remember(
        &self,
        key: &CacheKey,
        credentials: Credentials,
        status: StatusCode,
        reason: BypassReason,
        now: Duration,
    ) {
        let is_passing = status.is_server_error() || is_of_one_request(status);
        if !(is_passing && reason == BypassReason::Status) {
            self.0.insert(mark(key, credentials), now + UNCACHEABLE_FOR);
        }
    }

    pub(in crate::cache) fn forget(&self, key: &CacheKey, credentials: Credentials) {
        self.0.remove(&mark(key, credentials));
    }
}

/// Statuses that say of a request's own fields what is wrong with it, or that only a part is asked for (RFC 9110, 15; RFC
/// 6585): anybody can bring them about.
fn is_of_one_request(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        206 | 304 | 400 | 406 | 408 | 411..=417 | 421..=426 | 428 | 429 | 431
    )
}

/// A key and a class of credentials in one number. Should two ever share it, requests run apart that could have
/// waited; nothing else.
fn mark(key: &CacheKey, credentials: Credentials) -> u64 {
    key.low() ^ u64::from(credentials.class())
}
