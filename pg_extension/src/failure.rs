//! One way to raise an error from an SQL function: message, SQLSTATE and what to do next.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::text::{self, Text};

/// What went wrong, ready to be raised or to be recorded in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// SQLSTATE.
    pub(crate) code: PgSqlErrorCode,
    /// Lower-case sentence.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A wrong argument (22023).
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
    }

    /// Ends the statement with this error.
    pub(crate) fn raise(self) -> ! {
        let message = text::for_error(self.message);
        let mut report = ErrorReport::new(self.code, message, "pg_pitcrew");
        if let Some(hint) = self.hint {
            report = report.set_hint(text::for_error(hint));
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("reporting at ERROR does not return")
    }
}

/// # Errors
/// The server is a replica, which writes nothing.
pub(crate) fn on_primary() -> Result<(), Failure> {
    // SAFETY: a plain read of shared state.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "a replica writes nothing",
        )
        .hint("Call it on the primary; what it does is replicated."));
    }
    Ok(())
}

/// Unwraps, or ends the statement with the failure.
pub(crate) fn or_raise<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| failure.raise())
}

/// Turns an SPI failure into an error that names what was being read.
pub(crate) fn spi<T>(what: &str, result: Result<T, pgrx::spi::SpiError>) -> T {
    result.unwrap_or_else(|error| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not read {what}: {error}"),
        )
        .raise()
    })
}

/// Reads one value; `None` when it is NULL or there is no row.
///
/// Not `Spi::get_one`: that counts as a write, takes a transaction id and fails on a replica.
pub(crate) fn read_one<T: FromDatum + IntoDatum>(
    what: &str,
    query: &str,
    arguments: &[pgrx::datum::DatumWithOid<'_>],
) -> Option<T> {
    Spi::connect(|client| {
        let rows = spi(what, client.select(query, Some(1), arguments)).first();
        if rows.is_empty() {
            None
        } else {
            spi(what, rows.get(1))
        }
    })
}

/// The same of a text that may hold names or values of users.
pub(crate) fn read_text(
    what: &str,
    query: &str,
    arguments: &[pgrx::datum::DatumWithOid<'_>],
) -> Option<String> {
    text::plain(read_one::<Text>(what, query, arguments))
}
