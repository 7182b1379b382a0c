//! Errors as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::store::StoreError;

/// When to ask again after a 503, in seconds: by then the pool has tried to connect several times.
const RETRY_AFTER_S: &str = "5";

impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = problem(status, &self.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let after = http::HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        response
    }
}

/// Answers the one request whose handler panicked; the panic's message is in the log, not here.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this answer could not be made, by a fault that the log tells of",
    )
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}
