//! Who may ask what: everything that stands between a request and its route, from the outside in.
//!
//! 1. [`headers`]: every answer, errors included, carries the same protective headers.
//! 2. [`host`]: a request for a host name that is not ours is misdirected (DNS rebinding).
//! 3. [`limits`]: no head is larger than anybody needs.
//! 4. [`auth`]: a token, a session or the host's own word gives an [`identity`]; reading wants a reader, everything else an
//!    operator. Guessing is [braked](brake).
//! 5. [`cross_site`]: a browser on another site may not press a button.
//!
//! [`problem`] is the one form in which all of them, and all routes, say no.

pub(crate) mod auth;
pub(crate) mod brake;
pub(crate) mod cross_site;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod problem;
pub(crate) mod sessions;
