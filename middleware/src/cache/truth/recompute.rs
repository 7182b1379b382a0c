//! An answer that is made to be compared, and thrown away.

use std::{hash::Hasher, pin::pin, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body;
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

use crate::cache::{
    body::into_bytes,
    policy::{Lookup, judge},
    region::Region,
};

/// Time that a recomputation may take, its body included.
const DEADLINE: Duration = Duration::from_secs(30);

/// The fields that say what a body is. Others may differ between two equally true answers: `Date`, `Age`, `ETag` of a
/// validator that counts up.
const COMPARED: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// Status, [`COMPARED`] and body, hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Digest(Hash128);

impl Digest {
    pub(in crate::cache) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut digest = Digesting::begin(status, headers);
        digest.0.write(body);
        digest.finish()
    }
}

/// A digest whose body comes in pieces; it is the last part, and needs no length.
struct Digesting(SipHasher13);

impl Digesting {
    fn begin(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(&status.as_u16().to_le_bytes());
        for name in &COMPARED {
            for value in headers.get_all(name) {
                hasher.write(&(value.len() as u64 + 1).to_le_bytes());
                hasher.write(value.as_bytes());
            }
            hasher.write(&0_u64.to_le_bytes());
        }
        Self(hasher)
    }

    fn finish(&self) -> Digest {
        Digest(self.0.finish128())
    }
}

/// What the handler says. `None` where that cannot be compared with a stored answer: it failed, would not be stored, or
/// did not come to its end within the bounds.
pub(in crate::cache) async fn recompute<F, R, E>(
    calling: F,
    lookup: &Lookup,
    region: &Region,
    unix_ms: u64,
) -> Option<Digest>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    let recomputed = async {
        let (mut parts, body) = calling.await.ok()?.into_parts();
        let verdict = judge(lookup, parts.status, &parts.headers, region, unix_ms).ok()?;
        if !verdict.is_fresh() || verdict.span.is_some() {
            return None;
        }
        // As in what is stored.
        for name in &verdict.left_out {
            parts.headers.remove(name);
        }
        let mut digest = Digesting::begin(parts.status, &parts.headers);
        let mut body = pin!(body);
        let mut length = 0;
        while let Some(frame) = next(body.as_mut()).await {
            let data = frame?;
            length += data.len();
            if length > region.max_body_bytes {
                return None;
            }
            digest.0.write(&data);
        }
        let declared = verdict.content_length;
        let is_whole = declared.is_none_or(|declared| declared == length as u64);
        is_whole.then(|| digest.finish())
    };
    tokio::time::timeout(DEADLINE, recomputed).await.ok()?
}

/// The next piece; within, `None` for an error or trailers.
async fn next<R: Body>(mut body: std::pin::Pin<&mut R>) -> Option<Option<Bytes>> {
    let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
    frame.map(|frame| into_bytes(frame.ok()?).into_data().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn status_type_coding_and_body_count_and_nothing_else() {
        let headers = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            headers
        };
        let base = headers(&[("content-type", "text/plain"), ("date", "a")]);
        let digest = Digest::of(StatusCode::OK, &base, b"x");
        let dated = headers(&[("content-type", "text/plain"), ("date", "b")]);
        assert!(digest == Digest::of(StatusCode::OK, &dated, b"x"));
        let typed = headers(&[("content-type", "text/html")]);
        let coded = headers(&[("content-type", "text/plain"), ("content-encoding", "br")]);
        for other in [
            Digest::of(StatusCode::NOT_FOUND, &base, b"x"),
            Digest::of(StatusCode::OK, &typed, b"x"),
            Digest::of(StatusCode::OK, &coded, b"x"),
            Digest::of(StatusCode::OK, &base, b"y"),
            Digest::of(StatusCode::OK, &base, b""),
        ] {
            assert!(digest != other);
        }
    }
}
