//! Which host names are ours. A page whose name was made to resolve to this machine (DNS rebinding) still sends its own
//! name as `Host`; answering it would give that page everything a local client may see.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{StatusCode, header, uri::Authority};

use super::problem::Problem;
use crate::Inner;

/// Names that always mean this machine, whatever the port.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The host names that are answered.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    extra: Vec<String>,
}

impl Hosts {
    pub(crate) fn allow(&mut self, host: &str) {
        self.extra.push(host.to_ascii_lowercase());
    }

    fn is_ours(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        is_loopback(authority.as_str())
            || self
                .extra
                .iter()
                .any(|name| host.eq_ignore_ascii_case(name))
    }
}

/// Whether an authority, as `Host` has it, means this machine.
pub(crate) fn is_loopback(authority: &str) -> bool {
    authority.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host();
        LOOPBACK.iter().any(|name| host.eq_ignore_ascii_case(name))
    })
}

/// 421 (RFC 9110, 15.5.20) unless each name that the request carries is ours: `Host`, and the authority of an absolute
/// target or of HTTP/2.
pub(crate) async fn check(
    State(inner): State<Arc<Inner>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let mut named = request
        .headers()
        .get_all(header::HOST)
        .iter()
        .map(|host| host.to_str().unwrap_or(""));
    let host = named.next();
    let authority = request.uri().authority().map(Authority::as_str);
    let is_named = host.is_some() || authority.is_some();
    let all_ours = host
        .into_iter()
        .chain(authority)
        .all(|name| inner.hosts.is_ours(name));
    if is_named && all_ours && named.next().is_none() {
        return Ok(next.run(request).await);
    }
    let detail = "this host name is not one of the admin router's: add `.allow_host(..)` to `Admin::builder()`";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a6_only_our_own_names_are_ours() {
        let mut hosts = Hosts::default();
        hosts.allow("Admin.example");
        for ours in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:3000",
            "[::1]:3000",
            "admin.example:443",
        ] {
            assert!(hosts.is_ours(ours), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "127.0.0.1.evil.example",
            "a b",
        ] {
            assert!(!hosts.is_ours(foreign), "{foreign}");
        }
        assert!(!hosts.is_ours("user@localhost"));
    }
}
