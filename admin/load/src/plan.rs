//! What a run sends, checked before the first request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

/// The most connections a run may hold: 1,024.
pub const MAX_CONNECTIONS: u32 = 1_024;
/// The longest a run may last: 600 seconds.
pub const MAX_DURATION_S: f64 = 600.0;
/// The most requests a run may send: 100 million.
pub const MAX_REQUESTS: u64 = 100_000_000;
/// The largest request body: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// An HTTP/1.1 run in a closed model.
///
/// Serialised field names are stable. Unknown fields are refused, so that a mistyped limit is never ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpPlan {
    /// Path and query of the target, from `/`. Default `/`.
    pub path: String,
    /// Request method. Default `GET`.
    pub method: String,
    /// Request headers, name to value. `host` and `x-pitcrew-load-run` are the tester's own.
    pub headers: std::collections::BTreeMap<String, String>,
    /// Request body, as text; at most [`MAX_BODY_BYTES`]. Default none.
    pub body: Option<String>,
    /// Connections kept open, each sending one request after the other: 1 to [`MAX_CONNECTIONS`]. Default 16.
    pub connections: u32,
    /// How long new requests are sent, in seconds: more than 0, at most [`MAX_DURATION_S`]. Default 10.
    pub duration_s: f64,
    /// Stop after so many requests: 1 to [`MAX_REQUESTS`]. Default: the duration alone decides.
    pub requests: Option<u64>,
    /// An answer that has not ended after so many milliseconds is an error: 1 to 60,000. Default 10,000.
    pub timeout_ms: u64,
}

impl Default for HttpPlan {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            method: "GET".to_owned(),
            headers: std::collections::BTreeMap::new(),
            body: None,
            connections: 16,
            duration_s: 10.0,
            requests: None,
            timeout_ms: 10_000,
        }
    }
}

/// A plan that cannot run: which field, and what it wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {wants}")]
#[non_exhaustive]
pub struct PlanError {
    /// The field's path in the plan, such as `headers.accept`.
    pub field: String,
    /// What the field wants, as a sentence.
    pub wants: String,
}

fn wrong<T>(field: &str, wants: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError {
        field: field.to_owned(),
        wants: wants.into(),
    })
}

/// A plan whose every field was checked and parsed.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) path: http::Uri,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) connections: u32,
    pub(crate) duration: Duration,
    pub(crate) requests: u64,
    pub(crate) timeout: Duration,
}

impl HttpPlan {
    /// Checks every field without sending anything.
    ///
    /// # Errors
    /// [`PlanError`] names the first field that is out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        self.checked().map(|_| ())
    }

    pub(crate) fn checked(&self) -> Result<Checked, PlanError> {
        let is_origin_form = self.path.starts_with('/') && !self.path.starts_with("//");
        let (true, true, Ok(path)) = (is_origin_form, self.path.len() <= 8_192, self.path.parse())
        else {
            return wrong(
                "path",
                "wants a path and query that begin with one `/`, at most 8,192 bytes",
            );
        };
        let Ok(method) = Method::from_bytes(self.method.as_bytes()) else {
            return wrong("method", "wants an HTTP method such as GET");
        };
        if method == Method::CONNECT {
            return wrong("method", "CONNECT opens a tunnel and cannot be load-tested");
        }
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let field = format!("headers.{name}");
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
                return wrong(&field, "is not a header name");
            };
            if matches!(
                parsed.as_str(),
                "host" | "content-length" | "transfer-encoding" | "connection" | crate::RUN_HEADER
            ) {
                return wrong(&field, "is set by the load tester itself; leave it out");
            }
            let Ok(value) = HeaderValue::from_str(value) else {
                return wrong(&field, "wants visible characters, no line breaks");
            };
            headers.insert(parsed, value);
        }
        let body = self.body.clone().unwrap_or_default();
        if body.len() > MAX_BODY_BYTES {
            return wrong(
                "body",
                format!("wants at most {MAX_BODY_BYTES} bytes, has {}", body.len()),
            );
        }
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            return wrong("connections", format!("wants 1 to {MAX_CONNECTIONS}"));
        }
        // A NaN fails both comparisons, so it is refused here too.
        if !(self.duration_s > 0.0 && self.duration_s <= MAX_DURATION_S) {
            return wrong(
                "duration_s",
                format!("wants more than 0 and at most {MAX_DURATION_S} seconds"),
            );
        }
        let requests = self.requests.unwrap_or(MAX_REQUESTS);
        if !(1..=MAX_REQUESTS).contains(&requests) {
            return wrong("requests", format!("wants 1 to {MAX_REQUESTS}"));
        }
        if !(1..=60_000).contains(&self.timeout_ms) {
            return wrong("timeout_ms", "wants 1 to 60,000 milliseconds");
        }
        Ok(Checked {
            path,
            method,
            headers,
            body: Bytes::from(body),
            connections: self.connections,
            duration: Duration::from_secs_f64(self.duration_s),
            requests,
            timeout: Duration::from_millis(self.timeout_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(plan: &HttpPlan) -> String {
        plan.check().expect_err("refused").field
    }

    #[test]
    fn a_default_plan_is_right() {
        assert_eq!(HttpPlan::default().check(), Ok(()));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let plan = HttpPlan::default;
        for path in [
            "",
            "orders",
            "//evil.example/",
            "http://evil.example/",
            "/a b",
        ] {
            assert_eq!(
                field_of(&HttpPlan {
                    path: path.to_owned(),
                    ..plan()
                }),
                "path",
                "{path}"
            );
        }
        assert_eq!(
            field_of(&HttpPlan {
                method: "G T".to_owned(),
                ..plan()
            }),
            "method"
        );
        assert_eq!(
            field_of(&HttpPlan {
                method: "CONNECT".to_owned(),
                ..plan()
            }),
            "method"
        );
        assert_eq!(
            field_of(&HttpPlan {
                connections: 0,
                ..plan()
            }),
            "connections"
        );
        assert_eq!(
            field_of(&HttpPlan {
                connections: 1_025,
                ..plan()
            }),
            "connections"
        );
        for duration_s in [0.0, -1.0, f64::NAN, f64::INFINITY, 601.0] {
            assert_eq!(
                field_of(&HttpPlan {
                    duration_s,
                    ..plan()
                }),
                "duration_s"
            );
        }
        assert_eq!(
            field_of(&HttpPlan {
                requests: Some(0),
                ..plan()
            }),
            "requests"
        );
        assert_eq!(
            field_of(&HttpPlan {
                timeout_ms: 0,
                ..plan()
            }),
            "timeout_ms"
        );
        let body = Some("x".repeat(MAX_BODY_BYTES + 1));
        assert_eq!(field_of(&HttpPlan { body, ..plan() }), "body");
        for (name, value) in [
            ("a b", "x"),
            ("x-y", "a\r\nb"),
            ("Host", "evil.example"),
            ("X-Pitcrew-Load-Run", "7"),
        ] {
            let headers = [(name.to_owned(), value.to_owned())].into();
            assert_eq!(
                field_of(&HttpPlan { headers, ..plan() }),
                format!("headers.{name}")
            );
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<HttpPlan>(r#"{"conections": 4}"#).expect_err("refused");
        assert!(error.to_string().contains("conections"), "{error}");
    }
}
