//! The rules of RFC 9111 for a shared cache, without I/O.

pub(super) mod conditional;
mod content;
pub(super) mod date;
pub(super) mod directives;
pub(super) mod fields;
pub(super) mod groups;
pub(super) mod invalidated;
pub(super) mod range;
pub(super) mod request;
pub(super) mod response;
pub(super) mod vary;

pub(super) use self::{
    content::Content,
    fields::{Field, Fields},
    request::{Lookup, classify},
    response::{OWN_TARGET, Share, Stale, Verdict, judge},
    vary::VaryNames,
};
