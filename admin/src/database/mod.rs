//! A small typed client of the database: the extension where it is, plain SQL where it is not.

mod analysis;
mod client;
mod jobs;
mod pools;
mod swap_pool;

pub(crate) use analysis::{Analysis, Overview, Suggestion, TableStats};
pub(crate) use client::{Database, DatabaseError, Runner};
pub(crate) use jobs::{Job, JobRequest, SubmitError};
pub use pools::PoolGauges;
pub(crate) use pools::{NamedPool, PoolReport};
pub use swap_pool::{ResizeError, SwapPool};
