//! Where Redis is and how this app uses it.

use std::{fmt, time::Duration};

use bb8_redis::RedisConnectionManager;

use super::{L2, pool::Pool};
use crate::clock::Clock;

/// Longest time a request waits for Redis unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);
/// Why a [`RedisStore`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The URL cannot be used.
    #[error(
        "the Redis URL cannot be used; write redis://[user:password@]host[:port][/db] or redis+unix:///path"
    )]
    Url(#[source] redis::RedisError),
    /// The URL asks for TLS, which this build does not have.
    #[error(
        "rediss:// needs TLS, which this build does not have; use redis:// or redis+unix://, or a local TLS proxy"
    )]
    Tls,
}

/// A cache level in Redis or Valkey, shared by every instance that uses the same namespace.
#[derive(Clone)]
pub struct RedisStore {
    manager: RedisConnectionManager,
    namespace: String,
    timeout: Duration,
}

impl RedisStore {
    /// A store at `url`; connects when first used, so it never fails because Redis is down.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Url`] where the URL cannot be read, [`RedisStoreError::Tls`] for `rediss://`.
    pub fn connect(url: &str) -> Result<Self, RedisStoreError> {
        let scheme = url.split(':').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("rediss") || scheme.eq_ignore_ascii_case("valkeys") {
            return Err(RedisStoreError::Tls);
        }
        let manager = RedisConnectionManager::new(url).map_err(RedisStoreError::Url)?;
        Ok(Self {
            manager,
            namespace: "default".to_owned(),
            timeout: DEFAULT_TIMEOUT,
        })
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

    pub(in crate::cache) fn open(self, clock: Clock) -> L2 {
        L2::new(
            Pool::new(self.manager),
            &self.namespace,
            self.timeout,
            clock,
        )
    }
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
