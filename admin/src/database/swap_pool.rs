//! A bb8 pool that can be resized while it is used: bb8 itself cannot.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection, RunError};

type Building<M> =
    Pin<Box<dyn Future<Output = Result<Pool<M>, <M as ManageConnection>::Error>> + Send>>;
type Build<M> = dyn Fn(u32) -> Building<M> + Send + Sync;

/// The most connections that a pool is resized to.
pub(crate) const MAX_CONNECTIONS: u32 = 10_000;
/// How often the old pool is looked at while it drains.
const EVERY: Duration = Duration::from_millis(50);

/// A pool that is replaced by a larger or smaller one without losing a request: the new pool is built and has given a
/// connection before it takes the place of the old one; who waits in the old one is still served there, and it closes when
/// its last connection has come back. For that time both have connections open.
///
/// ```no_run
/// use pitcrew_admin::SwapPool;
/// # async fn example(manager: bb8_postgres::PostgresConnectionManager<tokio_postgres::NoTls>)
/// # -> Result<(), tokio_postgres::Error> {
/// let pool = SwapPool::new(16, move |max| {
///     let manager = manager.clone();
///     async move { bb8::Pool::builder().max_size(max).build(manager).await }
/// })
/// .await?;
/// let connection = pool.get().await;
/// # Ok(())
/// # }
/// ```
pub struct SwapPool<M: ManageConnection> {
    current: RwLock<(Pool<M>, u32)>,
    build: Box<Build<M>>,
    /// One at a time.
    resizing: tokio::sync::Mutex<()>,
}

/// Why a pool was not resized; the old one goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// A pool has room for at least one connection.
    #[error("a pool has 1 to {MAX_CONNECTIONS} connections")]
    Size,
    /// The new pool gave no connection: the server may take no more.
    #[error(
        "the new pool gave no connection, so the old one goes on: see whether the server takes as many"
    )]
    NoConnection,
}

impl ResizeError {
    /// Whether a pool can have that size at all.
    pub(crate) fn check(max: u32) -> Result<(), Self> {
        let is_size = (1..=MAX_CONNECTIONS).contains(&max);
        is_size.then_some(()).ok_or(Self::Size)
    }
}

impl<M: ManageConnection> fmt::Debug for SwapPool<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("SwapPool");
        shown
            .field("max_connections", &self.max_connections())
            .finish_non_exhaustive()
    }
}

impl<M: ManageConnection> SwapPool<M> {
    /// A pool of at most `max` connections, built by `build` now and at each resize.
    ///
    /// # Errors
    /// What `build` answers.
    pub async fn new<F, B>(max: u32, build: F) -> Result<Arc<Self>, M::Error>
    where
        F: Fn(u32) -> B + Send + Sync + 'static,
        B: Future<Output = Result<Pool<M>, M::Error>> + Send + 'static,
    {
        let build: Box<Build<M>> = Box::new(move |max| Box::pin(build(max)));
        let pool = build(max).await?;
        Ok(Arc::new(Self {
            current: RwLock::new((pool, max)),
            build,
            resizing: tokio::sync::Mutex::new(()),
        }))
    }

    /// The pool of now: take it anew for each request, or a resize has no effect.
    pub fn pool(&self) -> Pool<M> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.0.clone()
    }

    /// A connection of the pool of now.
    ///
    /// # Errors
    /// As [`Pool::get`].
    pub async fn get(&self) -> Result<PooledConnection<'static, M>, RunError<M::Error>> {
        self.pool().get_owned().await
    }

    /// How many connections it may hold.
    pub fn max_connections(&self) -> u32 {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
    }

    /// Builds a pool of another size and swaps it in. Answers once it is in; the old one drains by itself.
    ///
    /// # Errors
    /// [`ResizeError`] says why nothing has changed.
    pub async fn resize(&self, max: u32) -> Result<(), ResizeError> {
        ResizeError::check(max)?;
        let _one = self.resizing.lock().await;
        let new = (self.build)(max)
            .await
            .map_err(|_| ResizeError::NoConnection)?;
        // A pool may be built without a connection: it takes the place only once it has given one.
        drop(new.get().await.map_err(|_| ResizeError::NoConnection)?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let (old, _) = std::mem::replace(&mut *current, (new, max));
        drop(current);
        tokio::spawn(drain(old));
        Ok(())
    }
}

/// Keeps the old pool until nobody has a connection of it: those that wait are served by those that come back.
async fn drain<M: ManageConnection>(old: Pool<M>) {
    loop {
        let state = old.state();
        if state.connections == state.idle_connections {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Connections that count themselves.
    #[derive(Debug, Clone, Default)]
    struct Counting {
        open: Arc<AtomicU32>,
    }

    #[derive(Debug)]
    struct Connection(Arc<AtomicU32>);

    impl Drop for Connection {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl ManageConnection for Counting {
        type Connection = Connection;
        type Error = Infallible;

        async fn connect(&self) -> Result<Connection, Infallible> {
            self.open.fetch_add(1, Ordering::SeqCst);
            Ok(Connection(Arc::clone(&self.open)))
        }

        async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
            Ok(())
        }

        fn has_broken(&self, _: &mut Connection) -> bool {
            false
        }
    }

    async fn pool(manager: &Counting) -> Arc<SwapPool<Counting>> {
        let manager = manager.clone();
        let built = SwapPool::new(1, move |max| {
            let manager = manager.clone();
            async move {
                Pool::builder()
                    .max_size(max)
                    .min_idle(Some(0))
                    .build(manager)
                    .await
            }
        });
        built.await.expect("built")
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_who_comes_has_the_new_size_and_the_old_pool_closes() {
        let manager = Counting::default();
        let pool = pool(&manager).await;
        let held = pool.get().await.expect("a connection");
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.get().await.is_ok() }
        });
        while pool.pool().state().statistics.get_waited + pool.pool().state().statistics.get_started
            < 2
        {
            tokio::task::yield_now().await;
        }
        pool.resize(3).await.expect("resized");
        assert_eq!(pool.max_connections(), 3);
        let mut new = Vec::new();
        for _ in 0..3 {
            new.push(pool.get().await.expect("a connection of the new one"));
        }
        assert_eq!(manager.open.load(Ordering::SeqCst), 4, "both are open");
        drop(held);
        assert!(waiting.await.expect("no panic"), "nobody is lost");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            manager.open.load(Ordering::SeqCst),
            3,
            "the old one has closed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_size_that_cannot_be_changes_nothing() {
        let pool = pool(&Counting::default()).await;
        for size in [0, MAX_CONNECTIONS + 1] {
            assert!(matches!(pool.resize(size).await, Err(ResizeError::Size)));
        }
        assert_eq!(pool.max_connections(), 1);
    }
}
