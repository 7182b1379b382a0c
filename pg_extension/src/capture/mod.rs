//! Recent slow executions with the text, the parameter values and the search path that they ran with, those that failed or were
//! cancelled among them; and, where pg_stat_statements is not there, what every statement took.
//!
//! ```text
//! ExecutorStart --> registry of this backend --> ExecutorEnd ------> counted and kept, in shared memory
//!   text and values copied      |                                     ^
//!                               +-- an error, then its (sub)transaction's end: swept
//! ```
//!
//! | file | role |
//! |---|---|
//! | `settings` | `pitcrew.capture*` |
//! | `memory` | sets of slots in shared memory, their locks, counters |
//! | `hooks`, `ended` | where the server calls us |
//! | `open`, `buffers` | what a backend remembers of the executions that it has begun |
//! | `keep`, `shape` | what becomes of one that ended |
//! | `plan` | its plan in words |
//! | `read`, `values`, `functions` | what of it who may see |
//! | `samples` | what of it the advisor plans |
//!
//! The plain part (how an execution is packed, which ones go when there is no room, how literals are taken out) is the crate
//! `pg_pitcrew_capture`.

mod buffers;
mod ended;
mod functions;
mod hooks;
mod keep;
mod memory;
mod open;
mod plan;
mod read;
mod samples;
pub(crate) mod settings;
mod shape;
mod values;

pub(crate) use functions::forget;
pub(crate) use samples::{samples, workload};
pub(crate) use values::datum;

/// Shared memory and hooks, unless there is to be no room. Called from `_PG_init` of a preloaded library, after the settings.
pub(crate) fn preload() {
    if settings::SLOTS.get() == 0 {
        return;
    }
    memory::preload();
    hooks::preload();
    ended::preload();
}
