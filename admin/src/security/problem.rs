//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;

const PROBLEM: &str = "application/problem+json";

/// An answer that says no. Never carries SQL, a connection string or a path of this machine.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    /// Boxed, so that the happy path does not carry its size about.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// `detail` is a sentence that says what to do.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            header: None,
        }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.header = Some(Box::new((name, value)));
        }
        self
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn not_configured(part: &str, setter: &str) -> Self {
        let detail = format!(
            "this app gave the admin router no {part}: add `.{setter}(..)` to `Admin::builder()`"
        );
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let kind = [(header::CONTENT_TYPE, PROBLEM)];
        let mut response = (self.status, kind, body.to_string()).into_response();
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Makes a problem of every error that is none: some are written by the libraries below, as plain text or without a word.
pub(crate) async fn uniform(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    // A route's own answer is JSON, whatever its status.
    let is_ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == PROBLEM || kind == "application/json");
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let reason = status.canonical_reason().unwrap_or("error");
    let mut problem =
        Problem::new(status, format!("the request cannot be answered: {reason}")).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

/// Parameters of the query whose every fault is a [`Problem`].
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = extract::Query::<T>::from_request_parts(parts, state).await;
        found.map(|found| Self(found.0)).map_err(|rejection| {
            Problem::bad_request(format!(
                "the query cannot be read: {}",
                rejection.body_text()
            ))
        })
    }
}

/// The variable part of a path, whose every fault is a [`Problem`].
#[derive(Debug)]
pub(crate) struct Path(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = extract::Path::<String>::from_request_parts(parts, state).await;
        found
            .map(|found| Self(found.0))
            .map_err(|_| Problem::bad_request("the path is not UTF-8 after percent-decoding"))
    }
}

/// The largest request body that is read where a route takes no more: 64 KiB.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The largest that a route takes, among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxBody(pub(crate) usize);

/// How long a client may take to send its body: even a load-test plan takes a second or two over a slow line.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A request's head, and its whole body: at most [`MAX_REQUEST_BYTES`] or what the route takes, within ten seconds.
pub(crate) async fn take_body(request: Request) -> Result<(Parts, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let mut bounded = Request::new(body);
    // Where the bound on bodies is written.
    bounded.extensions_mut().clone_from(&parts.extensions);
    let reading = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(bounded, &()));
    let read = reading.await.map_err(|_| {
        let seconds = BODY_WITHIN.as_secs();
        let detail = format!("the request body took longer than {seconds} s");
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    })?;
    let body = read.map_err(|rejection| {
        let status = rejection.status();
        let detail = match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let most = parts.extensions.get::<MaxBody>();
                let most = most.map_or(MAX_REQUEST_BYTES, |most| most.0);
                format!("the request body is over {most} bytes")
            }
            _ => "the request body could not be read".to_owned(),
        };
        Problem::new(status, detail)
    })?;
    Ok((parts, body))
}

/// A JSON request body whose every fault is a [`Problem`]. An absent body is read as `{}`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = take_body(request).await?;
        let kind = parts.headers.get(header::CONTENT_TYPE);
        // A form or text/plain body is what a foreign page can send without asking first.
        let is_json = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| {
                kind.split(';')
                    .next()
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
            });
        if !is_json && (kind.is_some() || !body.is_empty()) {
            let detail = "send `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        // serde would take the values of a list by their places.
        if text.trim_ascii_start().first() == Some(&b'[') {
            let detail = "the request body is not what this route wants: a JSON object";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let status = if error.is_data() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::BAD_REQUEST
            };
            Problem::new(
                status,
                format!("the request body is not what this route wants: {error}"),
            )
        })
    }
}
