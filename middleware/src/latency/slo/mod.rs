//! Service level objectives: how much of the error budget is left, and whether it goes too fast.

mod alerts;
mod objective;
mod report;
mod slots;
#[cfg(test)]
mod tests;
mod tracker;

pub(crate) use self::tracker::Tracker;
pub use self::{
    alerts::Severity,
    objective::{
        DEFAULT_MIN_REQUESTS, DEFAULT_PERIOD, MAX_OBJECTIVES, MAX_PERIOD, MIN_PERIOD, Objective,
        ObjectiveError,
    },
    report::{BurnAlert, ObjectiveReport, ObjectiveState},
};
