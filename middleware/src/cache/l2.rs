//! The second level: Redis or Valkey.

use std::{fmt, time::Duration};

/// Longest time a request waits for Redis unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);

/// Why a [`RedisStore`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The URL cannot be used.
    #[error(
        "the Redis URL cannot be used: {0}; write redis://[user:password@]host[:port][/db] or redis+unix:///path"
    )]
    Url(#[source] redis::RedisError),
}

/// A cache level in Redis or Valkey, shared by every instance of an app that uses the same namespace.
#[derive(Clone)]
pub struct RedisStore {
    namespace: String,
    timeout: Duration,
}

impl RedisStore {
    /// A store at `url`; connects when first used, so it never fails because Redis is down.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Url`] where the URL cannot be read.
    pub fn connect(url: &str) -> Result<Self, RedisStoreError> {
        redis::Client::open(url).map_err(RedisStoreError::Url)?;
        Ok(Self {
            namespace: "default".to_owned(),
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// Begins every Redis key of this app. Default `default`.
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
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
