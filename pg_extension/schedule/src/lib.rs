//! When scheduled maintenance runs: pure functions of a moment, so that no test waits for a clock.
//!
//! | file | role |
//! |---|---|
//! | `rule` | a cron pattern or an interval: when it is due |
//! | `gap` | hours and days that the clock leaves out |
//! | `window` | the hours in which it may start |
//! | `plan` | rule, window and jitter together: the next run, and what a due run comes to |
//! | `zone` | time zones by name, and moments that a change of the clock skips or repeats |
//! | `problem` | what is wrong with a schedule, and what to write instead |

mod gap;
mod plan;
mod problem;
mod rule;
mod window;
mod zone;

pub use jiff::Timestamp;
pub use plan::{CatchUp, MAX_JITTER_S, Plan, Turn};
pub use problem::Problem;
pub use window::Opening;

#[cfg(test)]
mod tests;
