//! The plain part of the extension's history: no server, no I/O.
//!
//! | module | decides |
//! |---|---|
//! | `delta` | what was counted since the tick before, across restarts and resets |
//! | `block` | how the objects of one tick are packed, and how packed ticks are merged |
//! | `retention` | which ticks are merged into hours, and which are forgotten to keep within a size |
//! | `regression` | whether a statement got slower beyond its own noise |

mod block;
mod delta;
mod regression;
mod retention;

pub use block::{Block, Layout, merge};
pub use delta::{Before, Delta, Gap, Origin, counted, gaps};
pub use regression::{Point, Regression, Wanted, regression};
pub use retention::{FINE_S, HOUR_S, Tick, forgotten, merges};
