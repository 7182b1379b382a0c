//! What holds for all bytes that others send: one function for each thing that is read, which panics where it does not
//! hold. The fuzzer (`middleware/fuzz`) looks for such bytes; the tests in `replay` go through what it has found so far.
//!
//! A target takes text where it can, so that a seed is written by hand and a finding is read by eye: a block of header
//! fields, `name: value` a line; of two blocks the first is the request's, the second, after an empty line, the answer's.

mod dates;
mod directives;
mod groups;
mod input;
mod ranges;
#[cfg(test)]
mod replay;
mod validation;
mod vary;

pub use self::{
    dates::dates, directives::directives, groups::groups, ranges::ranges, validation::validation,
    vary::vary,
};
#[cfg(feature = "redis")]
pub use super::l2::fuzzing::{purge_table, purges, wire};
#[cfg(feature = "query")]
pub use super::query::fuzzing::statement;

pub(super) use self::input::{blocks, bounded};

/// So that [`bounded`] can tell how much reading allocates.
#[cfg(feature = "memory")]
#[global_allocator]
static ALLOCATOR: crate::memory::CountingAlloc<std::alloc::System> =
    crate::memory::CountingAlloc::new(std::alloc::System);
