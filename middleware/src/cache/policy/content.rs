//! A request's content: what is known of it, and what its fields say.

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;

use crate::cache::outcome::BypassReason;

/// What is known of a request's content.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Nothing,
    /// Some that no key covers, and why.
    Unread(BypassReason),
    /// All that there is, for the key.
    Whole(Bytes),
}

impl Content {
    /// Of a body that nobody has read.
    pub(crate) fn of<B: Body>(body: &B) -> Self {
        if body.is_end_stream() {
            Self::Nothing
        } else {
            Self::Unread(BypassReason::RequestBody)
        }
    }

    /// What of it belongs into the key.
    pub(crate) fn in_key(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(content) => Some(content),
            Self::Nothing | Self::Unread(_) => None,
        }
    }
}

pub(super) fn declares_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

/// Whether the fields say that the content is as long as it is: a handler may go by them.
pub(super) fn is_framed_as(headers: &HeaderMap, length: usize) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().peekable();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter().peekable();
    // RFC 9112, 6.1: both at once may be an attempt at smuggling.
    if lengths.peek().is_some() && codings.peek().is_some() {
        return false;
    }
    lengths.all(|value| value.as_bytes() == length.to_string().as_bytes())
        && codings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}
