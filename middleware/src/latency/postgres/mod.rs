//! A wrapper for clients of `tokio-postgres`: what a request asks of the database, timed and counted.

mod client;
mod copy;
mod methods;
mod rows;
mod text;
mod transaction;
pub(super) mod waiting;

use std::future::Future;

use tokio_postgres::types::{ToSql, Type};

pub use self::{
    client::{Client, TransactionBuilder},
    copy::{CopyIn, CopyOut},
    rows::Rows,
    text::{Prepared, StatementText},
    transaction::Transaction,
};
use super::{
    segments::{DATABASE, segment},
    statements::Statement,
};

/// What is no statement of the app's own, but takes the database's time.
fn database<F: Future>(future: F) -> impl Future<Output = F::Output> {
    segment(DATABASE).run(future)
}

fn named<T: ?Sized + StatementText>(statement: &T, params: &[&(dyn ToSql + Sync)]) -> Statement {
    Statement::of(statement.text()).parameters(params)
}

fn typed(query: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Statement {
    Statement::of(Some(query)).parameters(params)
}
