//! Requests' content in their keys: what a POST asks that changes nothing is cached as a GET is.
//!
//! A layer is generic over the bodies of requests, and none can be made from bytes in general. So what reads content ahead is a
//! service of its own around [`Cache`](super::Cache), which hands on a [`RequestBody`]: the bytes that it has read, then the rest.
//!
//! The content has come, or why it has not is known, before the cache sees the request; it is then told both in one call, so that
//! nothing between them can make them differ.

mod body;
mod future;
mod layer;
mod read;
mod room;
mod service;

pub use self::{body::RequestBody, future::BodyKeyFuture, layer::BodyKeyLayer, service::BodyKey};
