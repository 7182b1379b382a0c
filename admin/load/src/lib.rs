//! A load tester that runs inside a service or beside it.
//!
//! A [`HttpPlan`] says what to send; [`Targets`] says where load may go at all; [`start`] runs it on threads of its own
//! and gives a [`Run`] that can be watched, cancelled and waited for; the end is a [`Report`]. With the feature `reports` that
//! is written as JSON, one HTML page, Markdown, JUnit XML or an HDR log, and those of several processes merge exactly.
//!
//! | protocol | plan | starts it | feature |
//! |---|---|---|---|
//! | HTTP/1.1 | [`HttpPlan`]: connections kept or made anew for each request | [`start`] | |
//! | HTTP/2 | [`HttpPlan`] with [`HttpVersion::Http2`]: several streams on a connection | [`start`] | `http2` |
//! | PostgreSQL | `PostgresPlan`: simple, prepared, pipelined, or a connection for each statement | `start_postgres` | `postgres` |
//! | WebSocket | `WebSocketPlan`: a message and its reply, connections held idle, connections made anew | `start_websocket` | `websocket` |
//! | whatever the app calls itself, such as a statement through its pool | a closure with a [`Load`] | [`start_calls`] | |
//!
//! A [`Plan`] is one of these with the text of its target, or several of them that run side by side ([`start_plan`]).
//!
//! With the feature `scripts` a plan of HTTP may have [`Step`]s instead of one request: visits with data in their requests,
//! values taken from answers, cookies and checks, each step with figures of its own.
//!
//! HTTP and WebSocket are spoken in clear or, with the feature `tls`, by rustls: [`Target::resolve`] takes `https://`. PostgreSQL
//! too, with `postgres-tls`, where `sslmode=require` asks for it. Certificates are checked, always.
//!
//! Load is made by one of two models. In the **closed** one each connection sends its next request when the last answer has
//! ended, so a stalled target also stalls the load. In the **open** one ([`Load::open`]) requests are due by the clock,
//! and a response is timed from the moment it was due, so that percentiles show what independent visitors waited. How late
//! the tester itself was is measured too, and a run in which that blurs the figures says so
//! ([`Report::generator_limited`]).
//!
//! A run can be changed while it is under way: [`Run::set_rate`] of an open model, [`Run::set_users`] of a closed one.
//!
//! What the target knows of itself may stand beside its answers, second by second: [`Run::observe`].
//!
//! Nothing here needs axum, and nothing is spawned on the host's runtime: a run has its own threads, at most one a core (and scenario).

mod arrivals;
mod capacity;
mod compare;
mod confidence;
mod details;
mod engine;
mod packed;
mod part;
mod percentiles;
mod plan;
#[cfg(feature = "postgres")]
mod postgres_target;
mod record;
mod report;
mod request;
mod run_name;
#[cfg(feature = "scripts")]
mod script;
mod series;
mod targets;
mod text;
mod threshold;
#[cfg(feature = "tls")]
mod tls;
mod users;

pub use arrivals::{Spacing, Stage};
pub use capacity::{Capacity, CapacityPlan, Knee, Outcome, Probe, Probing, Search, Tried, knee};
pub use compare::{Change, Comparison, Movement, Tolerance, compare};
pub use confidence::Estimate;
pub use details::Details;
#[cfg(feature = "postgres")]
pub use engine::start_postgres;
#[cfg(feature = "websocket")]
pub use engine::start_websocket;
pub use engine::{
    AnyTarget, Figures, MAX_FIGURES, Observer, Run, RunState, Stopped, start, start_calls,
    start_plan, watch,
};
pub use part::{MAX_PARTS, Part, PartError};
pub use percentiles::Percentiles;
#[cfg(feature = "scripts")]
pub use plan::Visits;
#[cfg(feature = "schema")]
pub use plan::schema;
pub use plan::{
    Ceilings, Closed, HttpPlan, HttpVersion, Load, MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_DURATION_S,
    MAX_RATE_PER_S, MAX_REQUESTS, MAX_SCENARIOS, MAX_STAGES, MAX_STREAMS, Open, Plan, PlanError,
};
#[cfg(feature = "postgres")]
pub use plan::{MAX_DEPTH, PostgresMode, PostgresPlan};
#[cfg(feature = "websocket")]
pub use plan::{MAX_IDLE, Reply, WebSocketMessage, WebSocketPlan};
#[cfg(feature = "postgres")]
pub use postgres_target::PostgresTarget;
pub use record::ErrorKind;
#[cfg(feature = "reports")]
pub use report::{
    CAPACITY_SCHEMA, CapacityResults, MergeError, Parts, ReadError, Results, SCHEMA, merge,
};
pub use report::{GeneratorLimited, Model, Progress, Report, StepReport};
pub use run_name::RunName;
#[cfg(all(feature = "scripts", feature = "postgres"))]
pub use script::PostgresStep;
#[cfg(all(feature = "scripts", feature = "websocket"))]
pub use script::WebSocketStep;
#[cfg(feature = "scripts")]
pub use script::{Capture, Expect, Flow, MAX_STEPS, MAX_THINK_MS, Order, Rows, Source, Step};
pub use series::Interval;
pub use targets::{Target, TargetError, Targets};
pub use text::{TextError, seconds};
pub use threshold::{
    Breach, Threshold, ThresholdError, UsualTargets, Verdict, Watch, contradiction,
};

pub use users::UserStage;

/// The request header that marks load of ours. Its value is [`RunName::mark`].
pub const RUN_HEADER: &str = "x-pitcrew-load-run";
