//! Connections to Redis: bb8 over bb8-redis, with a flag that says which connections are broken.
//!
//! Every published manager's `has_broken` is a constant `false`, so without a PING at each check-out a pool stays dead
//! for ever after Redis restarts; and the PING costs most of the throughput. So the flag: set on any I/O error and on a
//! timeout, read at check-out and by bb8 at check-in.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bb8::{ManageConnection, Pool as Bb8};
use bb8_redis::RedisConnectionManager;
use redis::{FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection};

/// Connections at most. They are multiplexed, so few carry all; more than one, because a large body holds the line.
const MAX_CONNECTIONS: u32 = 4;
/// Longest time to open one, in the background.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a call to Redis brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("Redis did not answer in time")]
    Timeout,
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    #[error("no connection to Redis")]
    Pool,
    #[error(
        "what stands in Redis was not written by this version of pitcrew; give the app a namespace of its own"
    )]
    Foreign,
}

/// How a connection is opened.
#[derive(Clone)]
pub(super) enum Opener {
    Plain(RedisConnectionManager),
    #[cfg(feature = "redis-tls")]
    Tls(Box<super::tls::Tls>),
}

impl Opener {
    /// A server that accepts and says nothing would be waited for as long as it lasts, also by bb8.
    pub(super) async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let opening = async {
            match self {
                Self::Plain(manager) => manager.connect().await,
                #[cfg(feature = "redis-tls")]
                Self::Tls(tls) => tls.connect().await,
            }
        };
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
        opened.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }
}

struct Manager {
    opener: Opener,
}

struct Connection {
    inner: MultiplexedConnection,
    broken: Arc<AtomicBool>,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(Connection {
            inner: self.opener.open().await?,
            broken: Arc::default(),
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        redis::cmd("PING").query_async(&mut connection.inner).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken.load(Ordering::Acquire)
    }
}

/// A lazy pool: nothing is spawned or connected before the first call.
pub(super) struct Pool {
    opener: Opener,
    pool: OnceLock<Bb8<Manager>>,
}

impl Pool {
    pub(super) fn new(opener: Opener) -> Self {
        Self {
            opener,
            pool: OnceLock::new(),
        }
    }

    pub(super) fn opener(&self) -> &Opener {
        &self.opener
    }

    fn pool(&self) -> &Bb8<Manager> {
        self.pool.get_or_init(|| {
            Bb8::builder()
                .max_size(MAX_CONNECTIONS)
                .test_on_check_out(false)
                .connection_timeout(CONNECT_TIMEOUT)
                // No reaper task: a connection lives until it breaks.
                .max_lifetime(None)
                .idle_timeout(None)
                .build_unchecked(Manager {
                    opener: self.opener.clone(),
                })
        })
    }

    /// Sends a pipeline and reads its answer, `timeout` at most, waiting for a connection included.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let mut used = None;
        let call = async {
            let (mut connection, broken) = self.connection().await?;
            used = Some(broken);
            let answer = pipeline.query_async(&mut connection).await;
            Ok(answer?)
        };
        let result = tokio::time::timeout(timeout, call)
            .await
            .unwrap_or(Err(CallError::Timeout));
        let broke = match &result {
            Ok(_) => false,
            Err(CallError::Redis(error)) => error.is_io_error() || error.is_unrecoverable_error(),
            Err(CallError::Timeout | CallError::Pool) => true,
            Err(CallError::Foreign) => false,
        };
        if broke && let Some(broken) = used {
            broken.store(true, Ordering::Release);
        }
        result
    }

    /// A clone of a connection; its guard goes back at once, so callers share connections instead of queueing for them.
    async fn connection(&self) -> Result<(MultiplexedConnection, Arc<AtomicBool>), CallError> {
        // Broken ones are dropped as their guard goes back, so this many turns see every idle one.
        for _ in 0..=MAX_CONNECTIONS {
            let guard = self.pool().get().await.map_err(|_| CallError::Pool)?;
            if !guard.broken.load(Ordering::Acquire) {
                return Ok((guard.inner.clone(), guard.broken.clone()));
            }
        }
        Err(CallError::Pool)
    }
}
