//! What a run sends, checked before the first request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::arrivals::{Arrivals, Curve, Part, Spacing, Stage};

/// The most connections a run may hold: 1,024.
pub const MAX_CONNECTIONS: u32 = 1_024;
/// The longest a run may last: 600 seconds.
pub const MAX_DURATION_S: f64 = 600.0;
/// The most requests a run may send: 100 million.
pub const MAX_REQUESTS: u64 = 100_000_000;
/// Connections of a closed model that does not say.
const USUAL_CONNECTIONS: u32 = 16;
/// Seconds of a closed model that does not say.
const USUAL_DURATION_S: f64 = 10.0;
/// The largest request body: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// The most stages of an open model: 100.
pub const MAX_STAGES: usize = 100;
/// The highest rate of an open model: 200,000 arrivals a second.
pub const MAX_RATE_PER_S: f64 = 200_000.0;

/// When requests of an open model are due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// One after the other: 1 to [`MAX_STAGES`], together at most [`MAX_DURATION_S`] seconds and [`MAX_REQUESTS`] arrivals.
    pub stages: Vec<Stage>,
    /// How arrivals lie between one another. Default even.
    #[serde(default)]
    pub spacing: Spacing,
    /// Of Poisson spacing: the same seed gives the same arrivals. Default 0.
    #[serde(default)]
    pub seed: u64,
}

/// An open model as one process runs it.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    open: Open,
    part: Part,
}

impl Due {
    pub(crate) fn arrivals(&self) -> Arrivals {
        let Open {
            stages,
            spacing,
            seed,
        } = &self.open;
        Arrivals::new(Curve::new(stages), *spacing, *seed, self.part)
    }
}

impl Open {
    fn check(&self) -> Result<(), PlanError> {
        if !(1..=MAX_STAGES).contains(&self.stages.len()) {
            return wrong(
                "open.stages",
                format!("wants 1 to {MAX_STAGES}, has {}", self.stages.len()),
            );
        }
        for (number, stage) in self.stages.iter().enumerate() {
            let field = |name: &str| format!("open.stages[{number}].{name}");
            // A NaN fails both comparisons, so it is refused here too.
            if !(stage.duration_s > 0.0 && stage.duration_s <= MAX_DURATION_S) {
                return wrong(
                    &field("duration_s"),
                    format!("wants more than 0 and at most {MAX_DURATION_S} seconds"),
                );
            }
            let rates = [
                ("rate_per_s", Some(stage.rate_per_s)),
                ("to_rate_per_s", stage.to_rate_per_s),
            ];
            for (name, rate) in rates {
                if rate.is_some_and(|rate| !(0.0..=MAX_RATE_PER_S).contains(&rate)) {
                    return wrong(
                        &field(name),
                        format!("wants 0 to {MAX_RATE_PER_S} arrivals a second"),
                    );
                }
            }
        }
        let duration: f64 = self.stages.iter().map(|stage| stage.duration_s).sum();
        if duration > MAX_DURATION_S {
            return wrong(
                "open.stages",
                format!("want at most {MAX_DURATION_S} seconds together, have {duration}"),
            );
        }
        let count = Curve::new(&self.stages).count();
        if !(count > 0.0 && count <= MAX_REQUESTS as f64) {
            return wrong(
                "open.stages",
                format!("want more than no arrival and at most {MAX_REQUESTS}, have {count}"),
            );
        }
        Ok(())
    }
}

/// An HTTP/1.1 run, in a closed model or in an open one.
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
    /// Connections, 1 to [`MAX_CONNECTIONS`]. In a closed model so many are open, each sending one request after the other;
    /// default 16. In an open model so many are opened at most, as they are needed, and a request that finds none free waits,
    /// which counts in its response time; default [`MAX_CONNECTIONS`].
    pub connections: Option<u32>,
    /// How long new requests of a closed model are sent, in seconds: more than 0, at most [`MAX_DURATION_S`]. Default 10.
    pub duration_s: Option<f64>,
    /// Stop a closed model after so many requests: 1 to [`MAX_REQUESTS`]. Default: the duration alone decides.
    pub requests: Option<u64>,
    /// An open model: requests go out when they are due. Its stages say how many and how long. Default: a closed model.
    pub open: Option<Open>,
    /// Run only this part of the plan: several processes run the others, and `pitcrew-load merge` makes one result of
    /// theirs. Connections, requests and arrivals are of all parts together. Default the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
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
            connections: None,
            duration_s: None,
            requests: None,
            open: None,
            part: None,
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
    pub(crate) requests: Option<u64>,
    pub(crate) arrivals: Option<Due>,
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
        let usual = if self.open.is_some() {
            MAX_CONNECTIONS
        } else {
            USUAL_CONNECTIONS
        };
        let connections = self.connections.unwrap_or(usual);
        if !(1..=MAX_CONNECTIONS).contains(&connections) {
            return wrong("connections", format!("wants 1 to {MAX_CONNECTIONS}"));
        }
        if let Some(open) = &self.open {
            for (field, is_there) in [
                ("duration_s", self.duration_s.is_some()),
                ("requests", self.requests.is_some()),
            ] {
                if is_there {
                    return wrong(field, "is of a closed model; with `open` its stages say it");
                }
            }
            open.check()?;
        }
        let duration_s = self.duration_s.unwrap_or(USUAL_DURATION_S);
        // A NaN fails both comparisons, so it is refused here too.
        if !(duration_s > 0.0 && duration_s <= MAX_DURATION_S) {
            return wrong(
                "duration_s",
                format!("wants more than 0 and at most {MAX_DURATION_S} seconds"),
            );
        }
        if self
            .requests
            .is_some_and(|requests| !(1..=MAX_REQUESTS).contains(&requests))
        {
            return wrong("requests", format!("wants 1 to {MAX_REQUESTS}"));
        }
        if !(1..=60_000).contains(&self.timeout_ms) {
            return wrong("timeout_ms", "wants 1 to 60,000 milliseconds");
        }
        let part = self.part.unwrap_or(Part::WHOLE);
        let least = u64::from(connections).min(self.requests.unwrap_or(u64::MAX));
        if part.of > least {
            return wrong(
                "part",
                format!(
                    "is of {}, and there are {least} connections or requests to share",
                    part.of
                ),
            );
        }
        Ok(Checked {
            path,
            method,
            headers,
            body: Bytes::from(body),
            // No more than there were.
            connections: part.share(u64::from(connections)) as u32,
            duration: Duration::from_secs_f64(duration_s),
            requests: self.requests.map(|requests| part.share(requests)),
            arrivals: self.open.clone().map(|open| Due { open, part }),
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
                connections: Some(0),
                ..plan()
            }),
            "connections"
        );
        assert_eq!(
            field_of(&HttpPlan {
                connections: Some(1_025),
                ..plan()
            }),
            "connections"
        );
        for duration_s in [0.0, -1.0, f64::NAN, f64::INFINITY, 601.0] {
            assert_eq!(
                field_of(&HttpPlan {
                    duration_s: Some(duration_s),
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
    fn the_parts_of_a_plan_are_the_plan() {
        let plan = |part: &str| HttpPlan {
            connections: Some(10),
            requests: Some(1_001),
            part: Some(part.parse().expect("a part")),
            ..HttpPlan::default()
        };
        let parts: Vec<_> = ["1/3", "2/3", "3/3"]
            .iter()
            .map(|part| plan(part).checked().expect("a plan"))
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
