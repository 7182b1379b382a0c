//! Connections to Redis: bb8 over the `redis` crate's, with a flag that says which connections are broken.
//!
//! Every published manager's `has_broken` is a constant `false`, so without a PING at each check-out a pool stays dead
//! for ever after Redis restarts; and the PING costs most of the throughput. So the flag: set on any I/O error, on a
//! timeout and by a demoted master (in a cluster, by [`Link::is_broken_by`]), read at check-out and by bb8 at check-in.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bb8::{ManageConnection, Pool as Bb8};
use redis::{FromRedisValue, Pipeline, RedisError};

use super::opener::{CONNECT_TIMEOUT, Link, Opener};

/// Connections at most. They are multiplexed, so few carry all; more than one, because a large body holds the line.
const MAX_CONNECTIONS: u32 = 4;

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

struct Manager {
    opener: Opener,
}

#[derive(Clone)]
struct Connection {
    link: Link,
    opened: Instant,
    broken: Arc<AtomicBool>,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(Connection {
            link: self.opener.open().await?,
            opened: Instant::now(),
            broken: Arc::default(),
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        let mut ping = redis::pipe();
        ping.cmd("PING").ignore();
        connection.link.query(&ping).await
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
            let connection = used.insert(self.connection().await?);
            Ok(connection.link.query(pipeline).await?)
        };
        let result = tokio::time::timeout(timeout, call)
            .await
            .unwrap_or(Err(CallError::Timeout));
        let fault = match &result {
            Err(CallError::Redis(error)) => Some(error),
            Err(CallError::Timeout) => None,
            Ok(_) | Err(CallError::Pool | CallError::Foreign) => return result,
        };
        if let Some(connection) = used
            && connection
                .link
                .is_broken_by(fault, connection.opened.elapsed())
        {
            connection.broken.store(true, Ordering::Release);
        }
        result
    }

    /// A clone of a connection; its guard goes back at once, so callers share connections instead of queueing for them.
    async fn connection(&self) -> Result<Connection, CallError> {
        // Broken ones are dropped as their guard goes back, so this many turns see every idle one.
        for _ in 0..=MAX_CONNECTIONS {
            let guard = self.pool().get().await.map_err(|_| CallError::Pool)?;
            if !guard.broken.load(Ordering::Acquire) {
                return Ok(guard.clone());
            }
        }
        Err(CallError::Pool)
    }
}
