//! How large a request's head may be. A server in front has limits of its own; these hold whoever it is.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;

use super::problem::Problem;

/// The longest path with its query, in bytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;
/// The most header fields.
const MAX_FIELDS: usize = 100;

/// 414 (RFC 9110, 15.5.15) and 431 (RFC 6585, 5).
pub(crate) async fn check(request: Request, next: Next) -> Result<Response, Problem> {
    let uri = request.uri();
    let target = uri.path().len() + uri.query().map_or(0, str::len);
    if target > MAX_TARGET_BYTES {
        let detail = format!("path and query are over {MAX_TARGET_BYTES} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    if request.headers().len() > MAX_FIELDS {
        let detail = format!("there are more than {MAX_FIELDS} header fields");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, detail));
    }
    Ok(next.run(request).await)
}
