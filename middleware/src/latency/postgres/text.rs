//! What a statement is given as.

use std::{ops::Deref, sync::Arc};

use tokio_postgres::ToStatement;

/// A statement as the methods of [`Client`](super::Client) take it: a text, or one that was prepared.
///
/// Implemented for `str`, `String`, [`Prepared`] and [`tokio_postgres::Statement`], whose text nobody tells: it is timed, and counted without a name.
pub trait StatementText: Sync {
    /// What `tokio_postgres` takes.
    type Inner: ?Sized + ToStatement + Sync;

    /// The same for `tokio_postgres`.
    fn inner(&self) -> &Self::Inner;

    /// Its text.
    fn text(&self) -> Option<&str>;
}

impl StatementText for str {
    type Inner = Self;

    fn inner(&self) -> &Self {
        self
    }

    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl StatementText for String {
    type Inner = Self;

    fn inner(&self) -> &Self {
        self
    }

    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl StatementText for tokio_postgres::Statement {
    type Inner = Self;

    fn inner(&self) -> &Self {
        self
    }

    fn text(&self) -> Option<&str> {
        None
    }
}

/// A prepared statement that knows its text. Made by [`Client::prepare`](super::Client::prepare).
#[derive(Clone, Debug)]
pub struct Prepared {
    statement: tokio_postgres::Statement,
    text: Arc<str>,
}

impl Prepared {
    pub(super) fn new(statement: tokio_postgres::Statement, text: &str) -> Self {
        Self {
            statement,
            text: text.into(),
        }
    }

    /// Names a statement that was prepared elsewhere.
    #[must_use]
    pub fn of(statement: tokio_postgres::Statement, text: &str) -> Self {
        Self::new(statement, text)
    }
}

impl Deref for Prepared {
    type Target = tokio_postgres::Statement;

    fn deref(&self) -> &tokio_postgres::Statement {
        &self.statement
    }
}

impl StatementText for Prepared {
    type Inner = tokio_postgres::Statement;

    fn inner(&self) -> &tokio_postgres::Statement {
        &self.statement
    }

    fn text(&self) -> Option<&str> {
        Some(&self.text)
    }
}
