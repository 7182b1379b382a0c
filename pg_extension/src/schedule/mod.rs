//! Jobs that come again: cron patterns, intervals, maintenance windows.
//!
//! ```text
//! schedule() --(commit)--> launcher <--(next run)-- coordinator: a row whose time has come queues its jobs
//!   row of pitcrew.schedule_rows   starts it when a run is due            they run as the row's owner
//! ```
//!
//! | file | role |
//! |---|---|
//! | `define` | `pitcrew.schedule`, `schedule_nightly`, `schedule_preview` |
//! | `manage` | `pitcrew.unschedule`, `pause_schedule`, `resume_schedule`, `run_schedule` |
//! | `turns` | what the coordinator does with rows whose time has come |
//! | `dues` | shared memory: when each database wants its coordinator back |
//!
//! When something is due is decided in the crate `pg_pitcrew_schedule`, which knows no server.

use pg_pitcrew_schedule::{Problem, Timestamp};
use pgrx::prelude::*;

use crate::failure::Failure;

mod define;
pub(crate) mod dues;
mod manage;
mod turns;

pub(crate) use turns::take_turns;

/// Microseconds from 1970 to 2000, where the server's clock begins.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Shared memory. Called from `_PG_init` of a preloaded library.
pub(crate) fn preload() {
    dues::preload();
}

fn now() -> Timestamp {
    // SAFETY: reads the clock.
    moment(unsafe { pg_sys::GetCurrentTimestamp() })
}

/// The server's time as a moment; an infinite one is the nearest that there is.
fn moment(server: pg_sys::TimestampTz) -> Timestamp {
    let microseconds = server.saturating_add(EPOCH_US);
    Timestamp::from_microsecond(microseconds).unwrap_or(if microseconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// A moment as the server's time; `None` for one that it does not have.
fn server_time(moment: Timestamp) -> Option<TimestampWithTimeZone> {
    let server = moment.as_microsecond().checked_sub(EPOCH_US)?;
    TimestampWithTimeZone::try_from(server).ok()
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::argument(problem.to_string()).hint(problem.hint())
    }
}

pgrx::extension_sql_file!(
    "../../sql/schedules.sql",
    name = "schedules",
    requires = ["jobs"]
);
