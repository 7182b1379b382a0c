//! The statements that ran, from pg_stat_statements or given, and what is looked up in them.

pub(crate) mod analysis;
pub(crate) mod repair;
pub(crate) mod shown;
pub(crate) mod skip;
pub(crate) mod source;
pub(crate) mod statements;
pub(crate) mod trust;
pub(crate) mod usage;
pub(crate) mod user;
pub(crate) mod written;
