//! A browser on another site may not press a button here.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, uri::Authority};

use super::problem::Problem;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// 403 for a request that changes something and comes from a page of another origin, as the browser itself tells by
/// `Sec-Fetch-Site` (W3C Fetch Metadata) or `Origin`. Clients that are no browsers send neither.
pub(crate) async fn check(request: Request, next: Next) -> Result<Response, Problem> {
    let is_reading = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if is_reading || is_same_origin(request.headers(), request.uri()) {
        return Ok(next.run(request).await);
    }
    Err(refused())
}

pub(crate) fn refused() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "requests from pages of another origin are refused",
    )
}

/// Whether the browser says so itself. That it is not a lie of another page, [`check`] looks at.
pub(crate) fn says_same_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(SITE) || headers.contains_key(header::ORIGIN)
}

fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let is_foreign_site = headers
        .get_all(SITE)
        .iter()
        .any(|site| !matches!(site.to_str(), Ok("same-origin" | "none")));
    if is_foreign_site {
        return false;
    }
    let own = headers
        .get(header::HOST)
        .map(|host| host.to_str().unwrap_or("?"));
    let own = own.or_else(|| uri.authority().map(Authority::as_str));
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or("?");
        let host = origin.split_once("://").map(|(_, host)| host);
        host.zip(own)
            .is_some_and(|(host, own)| host.eq_ignore_ascii_case(own))
    })
}
