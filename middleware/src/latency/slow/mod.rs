//! Which routes are slow: by a target that was set, by an objective, or by their own past.

mod compare;
mod normal;
mod report;
#[cfg(test)]
mod simulation;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use self::report::{Judge, grouped};
pub use self::{
    report::{
        Baseline, CHANCE, DEFAULT_ENOUGH_REQUESTS, DEFAULT_LEAST_CHANGE_MS, SlowBy, SlowEndpoint,
        SlowReport, YoungEndpoint,
    },
    target::{MAX_TARGETS, Target, TargetError},
};
