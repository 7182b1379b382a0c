//! What kind of error one of tokio-postgres is.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::live::Work;
use crate::record::ErrorKind;

/// Why a statement failed.
pub(super) enum Fault {
    /// The connection had ended before the statement was written.
    NeverSent,
    Of(ErrorKind, Option<SqlState>),
}

impl Work {
    /// `fate`: how the connection ended, where it has. `after`: since the statement was sent.
    pub(super) fn fault(
        &self,
        error: &Error,
        fate: Option<&Result<(), Error>>,
        after: Duration,
    ) -> Fault {
        if let Some(code) = error.code() {
            let kind = match code {
                // The server's own timeout is the plan's; before its time somebody else cancelled the statement.
                code if *code == SqlState::QUERY_CANCELED && after >= self.plan.load.timeout => {
                    ErrorKind::Timeout
                }
                // Class 57P: the server ends the session.
                code if code.code().starts_with("57P") => ErrorKind::Reset,
                _ => ErrorKind::Sql,
            };
            return Fault::Of(kind, Some(code.clone()));
        }
        if !error.is_closed() {
            return Fault::Of(of_wire(error), None);
        }
        match fate {
            // It is told to the first statement that is under way; told to none, none was.
            Some(Err(last)) if last.code().is_some() => Fault::NeverSent,
            Some(Err(last)) if !last.is_closed() => Fault::Of(of_wire(last), None),
            _ => Fault::Of(ErrorKind::Reset, None),
        }
    }
}

/// The library tells apart what it could not read and what it could not understand only by the cause.
fn of_wire(error: &Error) -> ErrorKind {
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(cause) => match io::Error::kind(cause) {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorKind::Protocol,
            _ => ErrorKind::Reset,
        },
        None => ErrorKind::Protocol,
    }
}
