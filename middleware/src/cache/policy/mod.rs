//! The rules of RFC 9111 for a shared cache, without I/O.

pub(super) mod directives;
pub(super) mod request;
pub(super) mod response;
pub(super) mod vary;

pub(super) use self::{
    request::{Lookup, classify},
    response::{Share, Verdict, judge},
    vary::VaryNames,
};
