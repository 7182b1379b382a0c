//! Where the time goes: a request's time, split into waiting for a connection, the database, the cache, the app's own segments,
//! and the rest.
//!
//! A request's timeline is a few hundred bytes that come with its first segment, and go back to their thread when it ends. While
//! its future or body is polled, a thread-local says so; so segments need no runtime's help, and find their request on any.

mod account;
mod accounts;
mod book;
mod current;
mod in_request;
mod names;
mod report;
mod segment;
#[cfg(test)]
mod tests;
mod timeline;

#[cfg(feature = "tokio-postgres")]
pub(crate) use self::segment::{close, open};
#[cfg(feature = "statements")]
pub(crate) use self::{
    account::Account,
    accounts::Read,
    current::{Token, with_timeline, with_timeline_of},
    report::name_of,
};
pub(crate) use self::{
    accounts::Accounts,
    current::{Entered, Frame, OUTSIDE},
    report::when,
};
pub use self::{
    accounts::MAX_SEGMENT_ROUTES,
    book::SEGMENT_BYTES,
    in_request::{InRequest, in_request},
    names::{CACHE, DATABASE, MAX_CUSTOM_SEGMENTS, OTHER, POOL},
    report::{PartTime, RouteTime, TimeReport},
    segment::{InSegment, Segment, SegmentGuard, segment},
};
