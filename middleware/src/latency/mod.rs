//! Latency per route, method and status class, from the call of the service to the end of the response body.

mod body;
mod future;
mod layer;
mod recorder;
mod service;
mod snapshot;

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    layer::{DEFAULT_MAX_SERIES, LatencyBuilder, LatencyHandle, LatencyLayer},
    service::Latency,
    snapshot::{LatencySnapshot, SeriesSnapshot, Summary},
};
