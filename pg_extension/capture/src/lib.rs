//! The plain part of the extension's capture of executions: no server, no I/O, nothing that allocates where it is written.
//!
//! | module | decides |
//! |---|---|
//! | `key` | what one statement is |
//! | `record` | what is known of one execution |
//! | `values` | how parameter values are packed |
//! | `outline`, `plans` | what is kept of a plan, and of which plans a statement ran with |
//! | `slot` | how an execution is packed into 8 KiB, and read again |
//! | `form` | how a parameter's bytes are found without asking a catalogue |
//! | `set` | which statements are counted and which executions are kept where there is no room for all |
//! | `literals` | a text without what somebody wrote into it |
//! | `normalised` | what a text of pg_stat_statements needs to be planned |
//!
//! Everything lies in the server's shared memory: fixed sizes, no pointers, and a run of zero bytes is a valid empty value.

mod form;
mod key;
mod literals;
mod normalised;
mod outline;
mod plans;
mod record;
mod set;
mod slot;
mod values;

pub use form::Form;
pub use key::{Key, Kind, mix};
pub use literals::{hash_without_literals, without_literals, written_without_literals};
pub use normalised::{names_around, parameters_at, with_typed_literal, with_whole_lists};
pub use outline::{Outline, PlanNode};
pub use plans::SeenPlan;
pub use record::{Blocks, Captured, Ended, Measured, Record};
pub use set::{Counted, Set, Total, WAYS};
pub use slot::{Kept, MAX_BYTES, SLOT_BYTES, Slot};
pub use values::{Packed, Typed, Value, pack};
