//! A request as the bytes that are sent.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Method};

use crate::request::Request;

/// What all requests of a run have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) authority: String,
    pub(super) keep_alive: bool,
    /// What the run's load is told by.
    pub(super) mark: Option<HeaderValue>,
}

/// RFC 9112, 3.
pub(super) fn bytes_of(request: &Request, common: &Common) -> Bytes {
    let mut bytes = BytesMut::with_capacity(256 + request.body.len());
    for part in [request.method.as_str(), " ", &request.path, " HTTP/1.1\r\n"] {
        bytes.put_slice(part.as_bytes());
    }
    let mut header = |name: &HeaderName, value: &[u8]| {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            bytes.put_slice(part);
        }
    };
    header(&HOST, common.authority.as_bytes());
    for (name, value) in &request.headers {
        header(name, value.as_bytes());
    }
    if !common.keep_alive {
        header(&CONNECTION, b"close");
    }
    if let Some(mark) = &common.mark {
        header(&HeaderName::from_static(crate::RUN_HEADER), mark.as_bytes());
    }
    // One that means to send something says that it is nothing (RFC 9110, 8.6).
    let says_length = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
    if says_length || !request.body.is_empty() {
        header(&CONTENT_LENGTH, request.body.len().to_string().as_bytes());
    }
    bytes.put_slice(b"\r\n");
    bytes.put_slice(&request.body);
    bytes.freeze()
}
