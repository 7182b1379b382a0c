//! A browser on another site may not press a button here.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority};

use super::problem::Problem;

/// 403 for a request that changes something and comes from a page of another origin, as the browser itself tells by
/// `Sec-Fetch-Site` (W3C Fetch Metadata) or `Origin`. Clients that are no browsers send neither.
pub(crate) async fn check(request: Request, next: Next) -> Result<Response, Problem> {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_reading || is_same_origin(request.headers(), request.uri()) {
        return Ok(next.run(request).await);
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "requests from pages of another origin are refused",
    ))
}

fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"))
    {
        return false;
    }
    let own = text(header::HOST).or_else(|| uri.authority().map(Authority::as_str));
    text(header::ORIGIN).is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.zip(own)
            .is_some_and(|(host, own)| host.eq_ignore_ascii_case(own))
    })
}
