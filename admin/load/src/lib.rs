//! A load tester that runs inside a service or beside it.
//!
//! A [`HttpPlan`] says what to send; [`Targets`] says where load may go at all; [`start`] runs it on threads of its own
//! and gives a [`Run`] that can be watched, cancelled and waited for; the end is a [`Report`].
//!
//! What is here is a **closed model**: each connection sends its next request when the last answer has ended. Its
//! latencies are service times. In a closed model a stalled server also stalls the sender, so the percentiles do not show
//! what independent visitors would have waited ("coordinated omission"); the report carries this in
//! [`Report::model`].
//!
//! Nothing here needs axum, and nothing is spawned on the host's runtime: a run has its own threads, at most one a core.

mod arrivals;
mod engine;
mod http1;
mod pace;
mod plan;
mod record;
mod report;
mod targets;

pub use engine::{Run, RunState, start};
pub use plan::{
    HttpPlan, MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_DURATION_S, MAX_REQUESTS, PlanError,
};
pub use record::ErrorKind;
pub use report::{Progress, Report};
pub use targets::{Target, TargetError, Targets};

/// The request header that marks load of ours. Its value is the run's id.
pub const RUN_HEADER: &str = "x-pitcrew-load-run";
