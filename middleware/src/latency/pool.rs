//! [`Pool`]: how long requests wait for a connection.

use std::{future::Future, ops::Deref};

use super::segments::{POOL, segment};

/// A pool that hands out connections. Implemented for `bb8::Pool` with the feature `bb8`; for another it is a few lines:
///
/// ```
/// use pitcrew::latency::{ConnectionPool, Pool};
/// # mod deadpool { pub struct Pool; pub struct Object; pub struct PoolError;
/// #   impl Pool { pub async fn get(&self) -> Result<Object, PoolError> { Ok(Object) } } }
///
/// struct Connections(deadpool::Pool);
///
/// impl ConnectionPool for Connections {
///     type Connection<'a> = deadpool::Object;
///     type Error = deadpool::PoolError;
///
///     async fn connection(&self) -> Result<deadpool::Object, deadpool::PoolError> {
///         self.0.get().await
///     }
/// }
///
/// # async fn handler(pool: deadpool::Pool) {
/// let pool = Pool::new(Connections(pool));
/// let connection = pool.get().await;
/// # drop(connection);
/// # }
/// ```
pub trait ConnectionPool {
    /// What a request gets.
    type Connection<'a>
    where
        Self: 'a;
    /// Why it gets none.
    type Error;

    /// Waits for a connection.
    fn connection(&self) -> impl Future<Output = Result<Self::Connection<'_>, Self::Error>> + Send;
}

/// Measures how long requests wait for a connection of a pool: as the segment [`POOL`](super::POOL) of the request.
///
/// All that the pool itself offers is there by `Deref`; [`get`](Self::get) alone is measured, a check or a new connection that is
/// part of it included.
#[derive(Clone, Debug, Default)]
pub struct Pool<P> {
    inner: P,
}

impl<P> Pool<P> {
    /// Wraps a pool.
    pub const fn new(pool: P) -> Self {
        Self { inner: pool }
    }

    /// The pool itself.
    pub fn into_inner(self) -> P {
        self.inner
    }
}

impl<P: ConnectionPool> Pool<P> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// Those of the pool.
    pub async fn get(&self) -> Result<P::Connection<'_>, P::Error> {
        segment(POOL).run(self.inner.connection()).await
    }
}

impl<P> Deref for Pool<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.inner
    }
}

#[cfg(feature = "bb8")]
impl<M: bb8::ManageConnection> ConnectionPool for bb8::Pool<M> {
    type Connection<'a> = bb8::PooledConnection<'a, M>;
    type Error = bb8::RunError<M::Error>;

    async fn connection(&self) -> Result<Self::Connection<'_>, Self::Error> {
        self.get().await
    }
}

#[cfg(feature = "bb8")]
impl<M: bb8::ManageConnection> Pool<bb8::Pool<M>> {
    /// Waits for a connection that does not borrow the pool.
    ///
    /// # Errors
    ///
    /// Those of the pool.
    pub async fn get_owned(
        &self,
    ) -> Result<bb8::PooledConnection<'static, M>, bb8::RunError<M::Error>> {
        segment(POOL).run(self.inner.get_owned()).await
    }
}

impl<P> From<P> for Pool<P> {
    fn from(pool: P) -> Self {
        Self::new(pool)
    }
}
