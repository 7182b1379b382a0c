//! Who may ask what: everything that stands between a request and its route, from the outside in.
//!
//! 1. [`headers`]: every answer, errors included, carries the same protective headers.
//! 2. [`host`]: a request for a host name that is not ours is misdirected (DNS rebinding).
//! 3. [`auth`]: a token gives a role; reading wants a reader, everything else an operator.
//! 4. [`cross_site`]: a browser on another site may not press a button.
//!
//! [`problem`] is the one form in which all of them, and all routes, say no.

pub(crate) mod auth;
pub(crate) mod cross_site;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod problem;
