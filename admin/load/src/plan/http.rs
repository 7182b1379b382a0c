//! Plans of HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::flat::flat;
use super::load::{CheckedLoad, Load};
use super::{PlanError, wrong};

/// The largest request body: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// The most streams on one HTTP/2 connection: 256.
pub const MAX_STREAMS: u32 = 256;
/// Streams of all connections together.
const MAX_ALL_STREAMS: u32 = 16_384;

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112): one request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2 (RFC 9113), in clear with prior knowledge. Needs the feature `http2`.
    Http2,
}

/// An HTTP run, in a closed model or in an open one.
///
/// Serialised field names are stable. Unknown fields are refused, so that a mistyped limit is never ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct HttpPlan {
    /// Path and query of the target, from `/`. Default `/`.
    pub path: String,
    /// Request method. Default `GET`.
    pub method: String,
    /// Request headers, name to value. `host` and `x-pitcrew-load-run` are the tester's own.
    pub headers: BTreeMap<String, String>,
    /// Request body, as text; at most [`MAX_BODY_BYTES`]. Default none.
    pub body: Option<String>,
    /// Which HTTP is spoken. Default HTTP/1.1.
    pub version: HttpVersion,
    /// Requests under way at once on each HTTP/2 connection: 1 to [`MAX_STREAMS`], all connections together at most 16,384.
    /// Default 1.
    pub streams: Option<u32>,
    /// Whether connections are kept. If not, each request of HTTP/1.1 has a connection of its own, and the time that connecting
    /// takes is part of the request. Default true.
    pub keep_alive: bool,
    /// Several requests, one after the other, in the place of `path`, `method` and `body`; `headers` are then those of each.
    /// Each visitor has cookies of its own. Its fields stand among the others in JSON.
    #[cfg(feature = "scripts")]
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(!skip_deserializing))]
    pub visits: super::Visits<crate::Step>,
    /// How much load, and when. Its fields stand among the others in JSON.
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(!skip_deserializing))]
    pub load: Load,
}

impl Default for HttpPlan {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: None,
            #[cfg(feature = "scripts")]
            visits: super::Visits::default(),
            version: HttpVersion::default(),
            streams: None,
            keep_alive: true,
            load: Load::default(),
        }
    }
}

flat!(HttpPlan, crate::Step);

/// An HTTP plan whose every field was checked and parsed.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) path: http::Uri,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Of each HTTP/2 connection.
    #[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "refused then"))]
    pub(crate) streams: Option<u32>,
    pub(crate) keep_alive: bool,
    pub(crate) load: CheckedLoad,
    /// In the place of the one request above.
    #[cfg(feature = "scripts")]
    pub(crate) script: Option<std::sync::Arc<crate::script::Script>>,
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
        let path = checked_path(&self.path)?;
        let Ok(method) = Method::from_bytes(self.method.as_bytes()) else {
            return wrong("method", "wants an HTTP method such as GET");
        };
        if method == Method::CONNECT {
            return wrong("method", "CONNECT opens a tunnel and cannot be load-tested");
        }
        let headers = checked_headers(&self.headers)?;
        let body = self.body.clone().unwrap_or_default();
        if body.len() > MAX_BODY_BYTES {
            return wrong(
                "body",
                format!("wants at most {MAX_BODY_BYTES} bytes, has {}", body.len()),
            );
        }
        let load = self.load.checked()?;
        let is_http2 = self.version == HttpVersion::Http2;
        if is_http2 && !cfg!(feature = "http2") {
            return wrong(
                "version",
                "`http2` is not in this build: it has no feature `http2`",
            );
        }
        if self.streams.is_some() && !is_http2 {
            return wrong("streams", "are of version `http2`; leave them out");
        }
        let streams = self.streams.unwrap_or(1);
        if !(1..=MAX_STREAMS).contains(&streams) {
            return wrong("streams", format!("wants 1 to {MAX_STREAMS}"));
        }
        if streams > MAX_ALL_STREAMS / load.connections {
            return wrong(
                "streams",
                format!(
                    "want at most {MAX_ALL_STREAMS} on all connections together, have {streams} on each of {}",
                    load.connections
                ),
            );
        }
        if is_http2 && !self.keep_alive {
            return wrong(
                "keep_alive",
                "false is of HTTP/1.1; `http2` keeps connections",
            );
        }
        Ok(Checked {
            streams: is_http2.then_some(streams),
            keep_alive: self.keep_alive,
            path,
            method,
            headers,
            body: Bytes::from(body),
            load,
            #[cfg(feature = "scripts")]
            script: self.script()?,
        })
    }

    #[cfg(feature = "scripts")]
    fn script(&self) -> Result<Option<std::sync::Arc<crate::script::Script>>, PlanError> {
        let usual = Self::default();
        let alone = [
            ("path", self.path != usual.path),
            ("method", self.method != usual.method),
            ("body", self.body.is_some()),
        ];
        super::visits::script(&self.visits, &self.headers, self.load.part(), &alone)
    }
}

/// A path of the target's own, never another host.
pub(crate) fn checked_path(path: &str) -> Result<http::Uri, PlanError> {
    let is_origin_form = path.starts_with('/') && !path.starts_with("//");
    let (true, true, Ok(path)) = (is_origin_form, path.len() <= 8_192, path.parse()) else {
        return wrong(
            "path",
            "wants a path and query that begin with one `/`, at most 8,192 bytes",
        );
    };
    Ok(path)
}

/// Headers without those that the tester sets itself.
pub(crate) fn checked_headers(named: &BTreeMap<String, String>) -> Result<HeaderMap, PlanError> {
    let mut headers = HeaderMap::with_capacity(named.len());
    for (name, value) in named {
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
    Ok(headers)
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
                load: Load {
                    connections: Some(0),
                    ..plan().load
                },
                ..plan()
            }),
            "connections"
        );
        assert_eq!(
            field_of(&HttpPlan {
                load: Load {
                    connections: Some(1_025),
                    ..plan().load
                },
                ..plan()
            }),
            "connections"
        );
        for duration_s in [0.0, -1.0, f64::NAN, f64::INFINITY, 601.0] {
            assert_eq!(
                field_of(&HttpPlan {
                    load: Load {
                        duration_s: Some(duration_s),
                        ..plan().load
                    },
                    ..plan()
                }),
                "duration_s"
            );
        }
        assert_eq!(
            field_of(&HttpPlan {
                load: Load {
                    requests: Some(0),
                    ..plan().load
                },
                ..plan()
            }),
            "requests"
        );
        assert_eq!(
            field_of(&HttpPlan {
                load: Load {
                    timeout_ms: 0,
                    ..plan().load
                },
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
    fn the_parts_of_a_plan_are_the_plan() {
        let plan = |part: &str| HttpPlan {
            load: Load {
                connections: Some(10),
                requests: Some(1_001),
                part: Some(part.parse().expect("a part")),
                ..Load::default()
            },
            ..HttpPlan::default()
        };
        let parts: Vec<_> = ["1/3", "2/3", "3/3"]
            .iter()
            .map(|part| plan(part).checked().expect("a plan").load)
            .collect();
        let connections: Vec<_> = parts.iter().map(|part| part.connections).collect();
        assert_eq!(connections, [4, 3, 3]);
        let requests: Vec<_> = parts.iter().map(|part| part.requests).collect();
        assert_eq!(requests, [Some(334), Some(334), Some(333)]);
        assert_eq!(field_of(&plan("11/11")), "part");
        let text = r#"{"part": "5/4"}"#;
        let error = serde_json::from_str::<HttpPlan>(text).expect_err("refused");
        assert!(error.to_string().contains("write 1/4"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<HttpPlan>(r#"{"conections": 4}"#).expect_err("refused");
        assert!(error.to_string().contains("conections"), "{error}");
    }
}
