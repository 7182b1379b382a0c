//! The statements that requests run: how many, and which of them again and again (N+1).

mod counts;
mod n_plus_one;
mod registry;
mod statement;

pub(crate) use self::{
    counts::{Counts, StatementSums},
    registry::Statements,
};
pub use self::{
    n_plus_one::{
        DEFAULT_REPEATED_REQUESTS, DEFAULT_REPEATED_SHARE, DEFAULT_REPEATED_TIMES, NPlusOne,
        NPlusOneReport, RepeatedStatement,
    },
    registry::MAX_STATEMENTS,
    statement::{InStatement, Statement, statement},
};
