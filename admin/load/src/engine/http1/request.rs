//! A request as the bytes that are sent.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderName, Method};

use crate::plan::Checked;
use crate::targets::Target;

/// The same for each request of a run (RFC 9112, 3).
pub(super) fn bytes_of(plan: &Checked, target: &Target, run: &str) -> Bytes {
    let mut bytes = BytesMut::with_capacity(256 + plan.body.len());
    for part in [
        plan.method.as_str(),
        " ",
        path_of(&plan.path),
        " HTTP/1.1\r\n",
    ] {
        bytes.put_slice(part.as_bytes());
    }
    let mut header = |name: &HeaderName, value: &[u8]| {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            bytes.put_slice(part);
        }
    };
    header(&HOST, target.authority().as_bytes());
    for (name, value) in &plan.headers {
        header(name, value.as_bytes());
    }
    if !plan.keep_alive {
        header(&CONNECTION, b"close");
    }
    // A text that can be no header is not sent, as by the other protocols.
    if http::HeaderValue::from_str(run).is_ok() {
        header(&HeaderName::from_static(crate::RUN_HEADER), run.as_bytes());
    }
    // One that means to send something says that it is nothing (RFC 9110, 8.6).
    let says_length = [Method::POST, Method::PUT, Method::PATCH].contains(&plan.method);
    if says_length || !plan.body.is_empty() {
        header(&CONTENT_LENGTH, plan.body.len().to_string().as_bytes());
    }
    bytes.put_slice(b"\r\n");
    bytes.put_slice(&plan.body);
    bytes.freeze()
}

fn path_of(path: &http::Uri) -> &str {
    path.path_and_query().map_or("/", |path| path.as_str())
}
