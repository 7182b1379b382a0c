//! Where Redis is and how this app uses it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bb8_redis::RedisConnectionManager;

use super::{
    L2,
    error::RedisStoreError,
    pool::{Opener, Pool},
};
use crate::{cache::invalidation::Invalidation, clock::Clock};

/// Longest time a request waits for Redis unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);

/// How long an answer is served from this process without news of others' purges, unless told otherwise.
pub const DEFAULT_SERVE_WHILE_AWAY: Duration = Duration::from_secs(30);

/// A cache level in Redis or Valkey, shared by every instance that uses the same namespace.
#[derive(Clone)]
pub struct RedisStore {
    opener: Opener,
    namespace: String,
    timeout: Duration,
    serve_while_away: Duration,
}

impl RedisStore {
    /// A store at `url`; connects when first used, so it never fails because Redis is down.
    ///
    /// `rediss://` (feature `redis-tls`) encrypts, and verifies the server against the system's root certificates or
    /// those given to `trust`; there is no way to leave the verification out.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Url`] where the URL cannot be read, [`RedisStoreError::Tls`] for `rediss://` without the feature
    /// `redis-tls` or to a host that no certificate can name.
    pub fn connect(url: &str) -> Result<Self, RedisStoreError> {
        let scheme = url.split(':').next().unwrap_or_default();
        let is_tls =
            scheme.eq_ignore_ascii_case("rediss") || scheme.eq_ignore_ascii_case("valkeys");
        Ok(Self {
            opener: if is_tls { tls(url)? } else { plain(url)? },
            namespace: "default".to_owned(),
            timeout: DEFAULT_TIMEOUT,
            serve_while_away: DEFAULT_SERVE_WHILE_AWAY,
        })
    }

    /// For `rediss://`: trusts the certificates of this PEM text instead of the system's.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Tls`] where the text holds no usable certificate, or the URL was not `rediss://`.
    #[cfg(feature = "redis-tls")]
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, RedisStoreError> {
        let Opener::Tls(tls) = &mut self.opener else {
            return Err(RedisStoreError::Tls(
                "the URL is not rediss://, so there is nothing to verify".into(),
            ));
        };
        tls.trust(pem)?;
        Ok(self)
    }

    /// Begins every Redis key of this app; two apps with different namespaces never see each other's entries. Default
    /// `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Longest time a request waits for Redis. Default [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long an answer in this process may still be served when purges of other instances cannot be heard: counted
    /// from the handler's answer, or from when they were heard last, whichever is later. So what another instance purged
    /// meanwhile is served no longer than that, and Redis being away does not empty this cache. Default
    /// [`DEFAULT_SERVE_WHILE_AWAY`].
    #[must_use]
    pub fn serve_while_away(mut self, serve_while_away: Duration) -> Self {
        self.serve_while_away = serve_while_away;
        self
    }

    pub(in crate::cache) fn open(self, clock: Clock) -> (L2, Arc<Invalidation>) {
        // No other instance's number, nor that of an earlier process.
        let instance = RandomState::new().hash_one(std::process::id());
        let invalidation = Arc::new(Invalidation::in_cluster(instance, self.serve_while_away));
        let pool = Pool::new(self.opener);
        let following = invalidation.clone();
        let l2 = L2::new(pool, &self.namespace, self.timeout, clock, following);
        (l2, invalidation)
    }
}

fn plain(url: &str) -> Result<Opener, RedisStoreError> {
    let manager = RedisConnectionManager::new(url).map_err(RedisStoreError::Url)?;
    Ok(Opener::Plain(manager))
}

#[cfg(feature = "redis-tls")]
fn tls(url: &str) -> Result<Opener, RedisStoreError> {
    use redis::IntoConnectionInfo;
    // Read as its plain twin, for the `redis` crate's own TLS is not in this build.
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    if rest.contains('#') {
        return Err(RedisStoreError::Tls(
            "`#insecure` and other fragments are not supported: name the root certificates instead"
                .into(),
        ));
    }
    let info = format!("redis:{rest}")
        .into_connection_info()
        .map_err(RedisStoreError::Url)?;
    Ok(Opener::Tls(Box::new(super::tls::Tls::new(info)?)))
}

#[cfg(not(feature = "redis-tls"))]
fn tls(_: &str) -> Result<Opener, RedisStoreError> {
    Err(RedisStoreError::Tls(
        "this build has none: switch on the feature `redis-tls`, or use redis:// or redis+unix://"
            .into(),
    ))
}

impl fmt::Debug for RedisStore {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
