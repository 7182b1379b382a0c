//! Latency per route, method and status class, from the call of the service to the end of the response body.
//!
//! ```
//! use pitcrew::LatencyLayer;
//!
//! let (layer, handle) = LatencyLayer::builder().max_series(512).build();
//! let snapshot = handle.snapshot();
//! assert_eq!(snapshot.total().p99_ms, 0.0);
//! # drop(layer);
//! ```
//!
//! | a request ends | it counts as |
//! |---|---|
//! | with the last byte of its body, or its head where no body is sent | the class of its status |
//! | with an error of the service or of the body | `error` |
//! | dropped before that: the client went away, a timeout outside, a panic | `aborted` |
//!
//! Threads record into shards of their own; a snapshot merges them. Histograms have two significant figures over 100 ns
//! to 1 h (longer ones count as 1 h, but `max` and `mean` are exact). The bound of series is
//! [`DEFAULT_MAX_SERIES`]; past it everything is counted under the route `overflow`. Memory: 4 to 16 KiB a series and
//! shard of threads (8 at most).

#![doc = include_str!("verdicts.md")]

mod body;
pub mod buckets;
mod class;
mod difference;
mod exemplar;
mod figures;
mod folder;
mod future;
mod handle;
#[cfg(feature = "hdr-log")]
mod hdr_log;
mod histogram;
mod layer;
mod ledger;
mod merge;
mod pool;
#[cfg(feature = "tokio-postgres")]
mod postgres;
mod prometheus;
mod recorder;
mod routes;
mod segments;
mod service;
mod slo;
mod slow;
mod snapshot;
#[cfg(feature = "statements")]
mod statements;
mod sync;
mod tally;
mod timeline;
mod verdicts;
mod window;
mod wire;

#[cfg(feature = "tokio-postgres")]
pub use self::postgres::{Client, Prepared, Rows, StatementText, Transaction, TransactionBuilder};
#[cfg(feature = "statements")]
pub use self::statements::{
    DEFAULT_REPEATED_REQUESTS, DEFAULT_REPEATED_SHARE, DEFAULT_REPEATED_TIMES, InStatement,
    MAX_STATEMENTS, NPlusOne, NPlusOneReport, RepeatedStatement, Statement, statement,
};
pub use self::{
    body::ResponseBody,
    class::StatusClass,
    exemplar::{DEFAULT_EXEMPLARS, Exemplar, MAX_EXEMPLARS, MAX_KEPT_EXEMPLARS},
    figures::Figures,
    folder::FOLD_INTERVAL,
    future::ResponseFuture,
    handle::LatencyHandle,
    histogram::{Bucket, Histogram},
    layer::{BuildError, DEFAULT_MAX_SERIES, LatencyBuilder, LatencyLayer, MIN_SERIES},
    ledger::{HOURS, LEDGER_BYTES},
    pool::{ConnectionPool, Pool},
    recorder::{
        registry::{MAX_SERIES, MAX_STATUS_CODES},
        shared::{EXACT_CELLS, RECORDER_BYTES, SNAPSHOT_AGE},
        slots::MAX_THREADS,
    },
    segments::{
        CACHE, DATABASE, InRequest, InSegment, MAX_CUSTOM_SEGMENTS, MAX_SEGMENT_ROUTES, OTHER,
        POOL, PartTime, RouteTime, SEGMENT_BYTES, Segment, SegmentGuard, TimeReport, in_request,
        segment,
    },
    service::Latency,
    slo::{
        BurnAlert, DEFAULT_MIN_REQUESTS, DEFAULT_PERIOD, MAX_OBJECTIVES, MAX_PERIOD, MIN_PERIOD,
        Objective, ObjectiveError, ObjectiveReport, ObjectiveState, Severity,
    },
    slow::{
        Baseline, CHANCE, DEFAULT_ENOUGH_REQUESTS, DEFAULT_LEAST_CHANGE_MS, MAX_TARGETS, SlowBy,
        SlowEndpoint, SlowReport, Target, TargetError, YoungEndpoint,
    },
    snapshot::{Hour, LatencySnapshot, Rates, RouteSnapshot, SeriesSnapshot},
    window::{UnknownWindow, Window},
    wire::{LatencyWire, WireError},
};
