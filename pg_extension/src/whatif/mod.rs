//! Plans with indexes that do not exist.
//!
//! A statement is parsed, analysed and rewritten, then planned while the planner's `get_relation_info_hook` adds
//! descriptions of indexes. Nothing is executed and nothing is kept: each plan is made in a subtransaction that is
//! rolled back, so that locks, settings and memory are given back whatever happens inside.

mod column;
mod confidence;
pub(crate) mod definition;
mod describe;
pub(crate) mod estimate;
mod existing;
mod gin_keys;
pub(crate) mod guarded;
pub(crate) mod hypothetical;
mod in_memory;
pub(crate) mod measured;
pub(crate) mod plan;
pub(crate) mod predict;
mod sample;
mod statistics;
pub(crate) mod table;
mod used;

pub(crate) use confidence::{Confidence, Trusted, of_query};
pub(crate) use definition::family;
