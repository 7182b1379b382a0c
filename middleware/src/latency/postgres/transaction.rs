//! [`Transaction`]: a transaction whose statements are timed and counted.

use std::{fmt, ops::Deref};

use bytes::Buf;
use tokio_postgres::{
    CancelToken, Error, Portal, Row, SimpleQueryMessage,
    types::{BorrowToSql, ToSql, Type},
};

use super::{
    CopyIn, CopyOut, Prepared, Rows, StatementText, database, methods::statements, named, typed,
};
use crate::latency::Statement;

/// A transaction whose statements are timed and counted. Made by [`Client::transaction`](super::Client::transaction); dropped without
/// [`commit`](Self::commit) it is rolled back.
pub struct Transaction<'a> {
    inner: tokio_postgres::Transaction<'a>,
}

impl<'a> Transaction<'a> {
    pub(super) const fn new(inner: tokio_postgres::Transaction<'a>) -> Self {
        Self { inner }
    }

    statements!();

    /// Commits it.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::commit`].
    pub async fn commit(self) -> Result<(), Error> {
        database(self.inner.commit()).await
    }

    /// Rolls it back.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::rollback`].
    pub async fn rollback(self) -> Result<(), Error> {
        database(self.inner.rollback()).await
    }

    /// Binds a statement, whose rows are then read in parts.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::bind`].
    pub async fn bind<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Portal, Error>
    where
        T: ?Sized + StatementText,
    {
        named(statement, params)
            .run(self.inner.bind(statement.inner(), params))
            .await
    }

    /// The next rows of what was bound. It counts as no statement of its own: reading in parts is no N+1.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::query_portal`].
    pub async fn query_portal(&self, portal: &Portal, max_rows: i32) -> Result<Vec<Row>, Error> {
        database(self.inner.query_portal(portal, max_rows)).await
    }

    /// The same; its rows as they come.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::query_portal_raw`].
    pub async fn query_portal_raw(&self, portal: &Portal, max_rows: i32) -> Result<Rows, Error> {
        let rows = database(self.inner.query_portal_raw(portal, max_rows)).await?;
        Ok(Rows::new(rows))
    }

    /// Begins a transaction inside, by a savepoint.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::transaction`].
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let inner = database(self.inner.transaction()).await?;
        Ok(Transaction { inner })
    }

    /// The same with a name for the savepoint.
    ///
    /// # Errors
    ///
    /// As [`tokio_postgres::Transaction::savepoint`].
    pub async fn savepoint(&mut self, name: &str) -> Result<Transaction<'_>, Error> {
        let inner = database(self.inner.savepoint(name)).await?;
        Ok(Transaction { inner })
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = tokio_postgres::Transaction<'a>;

    fn deref(&self) -> &tokio_postgres::Transaction<'a> {
        &self.inner
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
