//! `ETag` and `If-None-Match` (RFC 9110, 8.8.3 and 13.1.2) of large documents: who has one already gets no second copy.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::security::identity::hexadecimal;
use crate::security::problem::Problem;

/// No document of ours is larger.
const MAX_BYTES: usize = 64 << 20;

pub(crate) async fn tag(request: Request, next: Next) -> Response {
    let known: Vec<String> = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/").to_owned())
        .collect();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BYTES).await else {
        let detail = "the document is larger than any should be";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response();
    };
    let digest = Sha256::digest(&bytes);
    let tag = format!("\"{}\"", hexadecimal(digest.get(..16).unwrap_or_default()));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if known.iter().any(|one| *one == tag || one == "*") {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}
