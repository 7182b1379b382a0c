//! The request path's side: threads that record, each for itself.
//!
//! A request finds its thread's [`Owner`](owner::Owner), a table from label to route, and in it the cell of its method and
//! status code; there a dozen numbers grow. Locks are met only where a thread meets a layer, a route or a series for the
//! first time, and at its end.

pub(super) mod cell;
#[cfg(all(test, pitcrew_loom))]
mod interleavings;
pub(super) mod label;
pub(super) mod owner;
pub(super) mod owners;
pub(super) mod reading;
pub(super) mod record;
pub(super) mod registry;
pub(super) mod room;
pub(super) mod shared;
pub(super) mod slot;
pub(super) mod slots;
