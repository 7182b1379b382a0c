//! Latency per route, method and status class, from the call of the service to the end of the response body.
//!
//! ```
//! use pitcrew::{LatencyLayer, latency::Window};
//!
//! let (layer, handle) = LatencyLayer::builder().build();
//!
//! // The layer goes on the app, as the outermost; the handle tells.
//! let snapshot = handle.snapshot();
//! println!("{} ms", snapshot.total_in(Window::FiveMinutes).p99_ms);
//! println!("{}", handle.prometheus());
//! # drop(layer);
//! ```
//!
//! # How it decides
//!
//! | a request ends | it counts as |
//! |---|---|
//! | with the last byte of its body, or its head where no body is sent (HEAD, 204, 304, `Content-Length: 0`) | the class of its status |
//! | with 101, or 2xx to CONNECT: what comes after it is another protocol's | the class of its status, at its head |
//! | with an error of the service or of the body | `error` |
//! | dropped before that: the client went away, a timeout outside, a panic | `aborted` |
//! | in whatever way, of a load test of the app's own, where [`LatencyBuilder::leave_out_load_tests`] says so | nothing |
//!
//! A route is what [`LatencyBuilder::route_label`] says, else axum's `MatchedPath`, else axum's `NestedPath` with `/*` (inside
//! `nest_service` there is no other), else `unmatched`. There are [`DEFAULT_MAX_SERIES`] series; what comes after them is counted in
//! the route `overflow` and in [`LatencySnapshot::dropped_series`].
//!
//! [`SeriesSnapshot`] has for each [`Window`] count, rate, errors, aborts, bytes, mean, least, greatest and percentiles to the end of the
//! body and to its head; [`LatencySnapshot::exemplars`] the slowest requests with the trace id of their `traceparent`;
//! [`LatencySnapshot::by_route`] what is under way. Snapshots of several instances are one by [`LatencySnapshot::merge`], after a way
//! over the network as [`LatencyWire`]. Text for Prometheus: [`LatencyHandle::prometheus`] and [`LatencyHandle::openmetrics`]; for
//! HdrHistogram's tools `LatencySnapshot::write_hdr_log` (feature `hdr-log`).
//!
//! # How it counts
//!
//! Each thread writes numbers of its own, which only grow: no lock that threads share, no read-modify-write, and no allocation once a
//! route, a series and a range of times were met. A [`Histogram`] is HDR's with two significant figures from 100 ns to 1 h; what is
//! longer counts as 1 h there, but greatest and mean are exact. Each [`FOLD_INTERVAL`] a thread named `pitcrew-latency` takes the
//! differences. It begins with the first request and ends with the last handle, or by [`LatencyHandle::shutdown`]; where it cannot be
//! had, whoever asks for a snapshot folds. A thread that ends leaves its numbers to the next one.
//!
//! Time is the processor's counter where CPUID says that it is invariant and the kernel keeps its own time by it, else the monotonic clock. The
//! kernel is asked again with each fold: once it has given the counter up, readings go on by the monotonic clock.
//!
//! # What it costs
//!
//! `./pitcrew bench layers` tells it for another machine; here x86-64, two shared cores:
//!
//! | what | | how it was taken |
//! |---|---|---|
//! | a request on a service that answers at once, beyond a layer that does nothing | 698 instructions | callgrind, 4,096 requests after a warm-up, head and body read, no label, no `traceparent` |
//! | a request on an axum router, the same taken away | 0.35 of hotpath 0.30's added CPU time (90 % interval 0.20 to 0.42), 0.11 of axum-prometheus 0.10's (0.07 to 0.23) | ten paired rounds, the worse of 1 and 4 threads |
//! | a fold, 512 series that all got something on 4 threads | 27.0 ms, each half second, in the background | median of 31 |
//! | a snapshot of 512 series | 0.17 ms where one is ready, 28 ms to make one | median of 31 |
//! | all memory, 512 series on 4 threads with an hour and a quarter of past | 24.9 MiB by its own account, 33.9 resident in a process that holds nothing else | after the folds above |
//!
//! # Limits
//!
//! - Memory: [`RECORDER_BYTES`] and [`LEDGER_BYTES`], 28 MiB together, labels and exemplars included, held against the heap itself by a test; segments, statements and
//!   objectives have 4 MiB more. What has no room is counted more coarsely or in `overflow`, never lost, and [`LatencySnapshot::dropped_room`], `coarse_times` and
//!   `coarse_slots` say so. With far more series than the default the list of them alone comes to more. A snapshot that somebody keeps is theirs; the layer keeps
//!   one itself for as long as somebody asks, and only past [`EXACT_CELLS`].
//! - With more than [`EXACT_CELLS`] series times threads a snapshot may be [`SNAPSHOT_AGE`] old.
//! - A rolling window holds nothing older than its length; it may lack the oldest slot, a sixth of it at most, and
//!   [`Figures::covered_s`] says so. What a window's largest time was is known to 1/128.
//! - The bytes of a request are its `Content-Length`, of methods that have content; a body without one counts 0.
//! - Past [`MAX_THREADS`] threads at one time, those after them share one part behind a lock.
//! - Without a handle nothing is measured: nobody could read it.

#![doc = include_str!("verdicts.md")]

mod body;
pub mod buckets;
mod class;
mod detail;
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
mod load_run;
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
mod trace;
mod verdicts;
mod window;
mod wire;

#[cfg(feature = "tokio-postgres")]
pub use self::postgres::{
    Client, CopyIn, CopyOut, Prepared, Rows, StatementText, Transaction, TransactionBuilder,
};
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
    handle::{LatencyCounts, LatencyHandle},
    histogram::{Bucket, Histogram},
    layer::{BuildError, DEFAULT_MAX_SERIES, LatencyBuilder, LatencyLayer, MIN_SERIES},
    ledger::{HOURS, LEDGER_BYTES},
    load_run::{LOAD_RUN_HEADER, LoadRun, MAX_LOAD_MARK_BYTES, MAX_LOAD_RUNS, MIN_LOAD_MARK_BYTES},
    pool::{ConnectionPool, Pool},
    recorder::{
        registry::{MAX_SERIES, MAX_STATUS_CODES},
        shared::{EXACT_CELLS, RECORDER_BYTES, SNAPSHOT_AGE},
        slots::MAX_THREADS,
    },
    routes::MAX_ALLOWED,
    segments::{
        CACHE, DATABASE, InRequest, InSegment, MAX_CUSTOM_SEGMENTS, MAX_SEGMENT_ROUTES, OTHER,
        POOL, PartTime, RouteTime, SEGMENT_BYTES, Segment, SegmentGuard, TimeReport, in_request,
        segment,
    },
    service::{Latency, MAX_REQUEST_BYTES},
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
