//! Connections to Redis: bb8 over the `redis` crate's, with a flag that says which connections are broken.
//!
//! Every published manager's `has_broken` is a constant `false`, so without a PING at each check-out a pool stays dead
//! for ever after Redis restarts; and the PING costs most of the throughput. So the flag: set on any I/O error, on a
//! timeout and by a demoted master (in a cluster, by [`Link::is_broken_by`]), read by who looks for a line, and by bb8 at check-in.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bb8::{ManageConnection, Pool as Bb8, PooledConnection};
use redis::{FromRedisValue, RedisError};

use super::opener::{CONNECT_TIMEOUT, Link, Opener, Question};

/// Connections at most. They are multiplexed, so few carry all: the more goes through one, the more of it goes in one write.
const MAX_CONNECTIONS: u32 = 4;
/// Bytes under way on a connection from which another one is taken: large bodies would hold the line for those behind.
pub(super) const FULL_BYTES: usize = 256 << 10;

/// Why a call to Redis brought nothing.
#[derive(Clone, Debug, thiserror::Error)]
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
    /// Bytes that are being sent, and those that are awaited.
    under_way: Arc<AtomicUsize>,
}

impl Connection {
    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// Some bytes under way, until it is dropped: with an answer, or without one.
struct UnderWay(Arc<AtomicUsize>, usize);

impl UnderWay {
    fn on(connection: &Connection, bytes: usize) -> Self {
        connection.under_way.fetch_add(bytes, Ordering::Relaxed);
        Self(connection.under_way.clone(), bytes)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(Connection {
            link: self.opener.open().await?,
            opened: Instant::now(),
            broken: Arc::default(),
            under_way: Arc::default(),
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        connection
            .link
            .query(&redis::cmd("PING"), CONNECT_TIMEOUT)
            .await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken()
    }
}

/// A lazy pool: nothing is spawned or connected before the first call.
///
/// Connections are checked out of bb8 for good, as lines that callers share: a check-out for each call would cost it a
/// timer and two locks. What breaks goes back, and bb8 opens another.
pub(super) struct Pool {
    opener: Opener,
    pool: OnceLock<Bb8<Manager>>,
    lines: RwLock<Vec<PooledConnection<'static, Manager>>>,
    opening: tokio::sync::Mutex<()>,
}

impl Pool {
    pub(super) fn new(opener: Opener) -> Self {
        Self {
            opener,
            pool: OnceLock::new(),
            lines: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
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

    /// Asks and reads the answer, `timeout` at most, or twice that where a connection is to be opened first. `bytes` are about
    /// those that question and answer have.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        question: &impl Question,
        bytes: usize,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let mut connection = match self.line() {
            Some(connection) => connection,
            None => tokio::time::timeout(timeout, self.opened())
                .await
                .unwrap_or(Err(CallError::Timeout))?,
        };
        let under_way = UnderWay::on(&connection, bytes);
        let result = connection.link.query(question, timeout).await;
        drop(under_way);
        result.map_err(|error| {
            let age = connection.opened.elapsed();
            if connection.link.is_broken_by(&error, age) {
                connection.broken.store(true, Ordering::Release);
                self.lines_mut().retain(|line| !line.is_broken());
            }
            CallError::Redis(error)
        })
    }

    /// The first line that is not full; where all are the emptiest, and another one for those who come later.
    fn line(&self) -> Option<Connection> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let emptiest = lines
            .iter()
            .filter(|line| !line.is_broken())
            // Full ones by what they carry; of the others the first, so that as much as may goes in one write.
            .min_by_key(|line| Some(line.under_way()).filter(|bytes| *bytes >= FULL_BYTES))?;
        let emptiest = (**emptiest).clone();
        let is_short = lines.len() < MAX_CONNECTIONS as usize;
        drop(lines);
        if is_short && emptiest.under_way() >= FULL_BYTES {
            self.widen();
        }
        Some(emptiest)
    }

    /// Opens another line in the background, or takes what was opened so.
    fn widen(&self) {
        let getting = pin!(self.pool().get_owned());
        if let Poll::Ready(Ok(line)) = getting.poll(&mut Context::from_waker(Waker::noop())) {
            self.lines_mut().push(line);
        }
    }

    /// A line, opened by one for all who wait for it.
    async fn opened(&self) -> Result<Connection, CallError> {
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.line() {
            return Ok(connection);
        }
        let line = self.pool().get_owned().await.map_err(|_| CallError::Pool)?;
        let connection = (*line).clone();
        self.lines_mut().push(line);
        Ok(connection)
    }

    fn lines_mut(&self) -> RwLockWriteGuard<'_, Vec<PooledConnection<'static, Manager>>> {
        self.lines.write().unwrap_or_else(PoisonError::into_inner)
    }
}
