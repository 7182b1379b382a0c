//! A small typed client of the database: the extension where it is, plain SQL where it is not.

mod analysis;
mod built;
mod client;
mod error;
mod jobs;
mod kept;
mod pools;
mod runner;
mod sessions;
mod suppressed;
mod swap_pool;

pub(crate) use analysis::{Analysis, Overview, Suggestion, TableStats};
pub(crate) use built::Built;
pub(crate) use client::Database;
pub(crate) use error::DatabaseError;
pub(crate) use jobs::{Job, JobRequest, SubmitError};
pub(crate) use kept::Recent;
pub use pools::PoolGauges;
pub(crate) use pools::{NamedPool, PoolReport};
pub(crate) use runner::Runner;
pub(crate) use sessions::Session;
pub(crate) use suppressed::Suppressed;
pub use swap_pool::{ResizeError, SwapPool};
