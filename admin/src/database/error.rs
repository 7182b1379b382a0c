//! Why the database gave no answer, in words that name neither SQL nor an address.

use tokio_postgres::error::SqlState;

use super::client::STATEMENT_TIMEOUT;

/// Why the database gave no answer. The texts carry no SQL and no connection string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(
        "the database cannot be reached: check that the server runs and that its address and password are right"
    )]
    Unreachable,
    /// Which says nothing of the server.
    #[error(
        "the admin router's own connections to the database are all at work on other answers: ask again in a moment"
    )]
    Busy,
    #[error("the database took longer than {} seconds", STATEMENT_TIMEOUT.as_secs())]
    Timeout,
    #[error(
        "the role of the admin router may not read this: SELECT pitcrew.grant_access(role, 'reader') as the extension's owner"
    )]
    NotAllowed,
    #[error(
        "an extension is not in this database: CREATE EXTENSION pg_pitcrew; CREATE EXTENSION pg_stat_statements"
    )]
    NoExtension,
    /// Somebody else has written the same row.
    #[error("another process of the same name keeps its things here")]
    Twice,
    #[error("{0}")]
    Refused(String),
    #[error("the database answered with SQLSTATE {0}")]
    Other(String),
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            return if error.is_closed() {
                Self::Unreachable
            } else {
                Self::Other("none".to_owned())
            };
        };
        match code {
            &SqlState::QUERY_CANCELED => Self::Timeout,
            &SqlState::INSUFFICIENT_PRIVILEGE => Self::NotAllowed,
            // `DROP EXTENSION` leaves its empty schema behind: then it is the function or the view that is missing.
            &SqlState::INVALID_SCHEMA_NAME
            | &SqlState::UNDEFINED_FUNCTION
            | &SqlState::UNDEFINED_TABLE => Self::NoExtension,
            &SqlState::UNIQUE_VIOLATION => Self::Twice,
            &SqlState::ADMIN_SHUTDOWN
            | &SqlState::CRASH_SHUTDOWN
            | &SqlState::CANNOT_CONNECT_NOW => Self::Unreachable,
            other => Self::Other(other.code().to_owned()),
        }
    }
}

/// Why a query brought nothing, before anybody has said what its SQLSTATE means here.
#[derive(Debug)]
pub(super) enum QueryError {
    /// No connection.
    Unreachable,
    /// None is free.
    Busy,
    Server(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<QueryError> for DatabaseError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unreachable => Self::Unreachable,
            QueryError::Busy => Self::Busy,
            QueryError::Server(error) => error.into(),
        }
    }
}
