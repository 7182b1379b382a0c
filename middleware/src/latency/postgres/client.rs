//! [`Client`]: a connection whose statements are timed and counted.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use bytes::Buf;
use tokio_postgres::{
    CancelToken, Error, IsolationLevel, Row, SimpleQueryMessage,
    types::{BorrowToSql, ToSql, Type},
};

use super::{
    CopyIn, CopyOut, Prepared, Rows, StatementText, database, methods::statements, named,
    transaction::Transaction, typed,
};
use crate::latency::Statement;

/// A connection to PostgreSQL whose statements are timed as [`DATABASE`](crate::latency::DATABASE) and counted for the request that runs them.
///
/// ```no_run
/// use pitcrew::latency::Client;
///
/// # async fn handler(connection: tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
/// // What a pool hands out goes in as it is: `Client::new(pool.get().await?)`.
/// let client = Client::new(&connection);
/// let rows = client.query("SELECT name FROM parts WHERE id = $1", &[&7_i64]).await?;
/// # drop(rows);
/// # Ok(())
/// # }
/// ```
///
/// `C` is anything that derefs to a [`tokio_postgres::Client`]: a reference, a `Box`, a connection of `bb8` or `deadpool`. The methods are those of
/// `tokio_postgres`, which is reached by `Deref` for what is not measured. Outside of a request it only passes on.
#[derive(Clone)]
pub struct Client<C> {
    inner: C,
}

impl<C> Client<C> {
    /// Wraps a connection.
    pub const fn new(connection: C) -> Self {
        Self { inner: connection }
    }

    /// The connection itself.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

impl<C: Deref<Target = tokio_postgres::Client>> Client<C> {
    statements!();
}

impl<C: DerefMut<Target = tokio_postgres::Client>> Client<C> {
    /// Begins a transaction, whose statements are measured too.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Client::transaction`].
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let transaction = database(self.inner.transaction()).await?;
        Ok(Transaction::new(transaction))
    }

    /// Says what a transaction is to be like, then begins it.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        TransactionBuilder {
            inner: self.inner.build_transaction(),
        }
    }
}

impl<C: Deref<Target = tokio_postgres::Client>> Deref for Client<C> {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        &self.inner
    }
}

impl<C> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What a transaction is to be like. Made by [`Client::build_transaction`].
pub struct TransactionBuilder<'a> {
    inner: tokio_postgres::TransactionBuilder<'a>,
}

impl<'a> TransactionBuilder<'a> {
    /// Its isolation level.
    #[must_use]
    pub fn isolation_level(self, isolation_level: IsolationLevel) -> Self {
        Self {
            inner: self.inner.isolation_level(isolation_level),
        }
    }

    /// Whether it only reads.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Self {
            inner: self.inner.read_only(read_only),
        }
    }

    /// Whether it may wait for a snapshot without anomalies.
    #[must_use]
    pub fn deferrable(self, deferrable: bool) -> Self {
        Self {
            inner: self.inner.deferrable(deferrable),
        }
    }

    /// Begins it.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::TransactionBuilder::start`].
    pub async fn start(self) -> Result<Transaction<'a>, Error> {
        let transaction = database(self.inner.start()).await?;
        Ok(Transaction::new(transaction))
    }
}

impl fmt::Debug for TransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder").finish_non_exhaustive()
    }
}
