//! Plans of WebSocket.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::flat::flat;
use super::http::{checked_headers, checked_path};
use super::load::{CheckedLoad, Load};
use super::{MAX_BODY_BYTES, MAX_DURATION_S, PlanError, wrong};

/// The most connections that are held without a message: 10,000.
pub const MAX_IDLE: u32 = 10_000;

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebSocketMessage {
    /// A text message.
    Text(String),
    /// A binary message, as hexadecimal digits, two a byte.
    Hex(String),
}

/// Which message is the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// The next message, which has to be the same as what was sent.
    #[default]
    Echo,
    /// The next message, whatever it is.
    Any,
    /// The next message that has these bytes in it; others are passed over.
    Contains(String),
    /// Of a step: none is waited for.
    Nothing,
}

/// A WebSocket run, in a closed model or in an open one. One request is a message and its reply.
///
/// Serialised field names are stable. Unknown fields are refused, so that a mistyped limit is never ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct WebSocketPlan {
    /// Path and query of the target, from `/`. Default `/`.
    pub path: String,
    /// Headers of the handshake, name to value. `host`, `x-pitcrew-load-run` and those of the handshake itself are the tester's
    /// own.
    pub headers: BTreeMap<String, String>,
    /// What is sent, at most [`MAX_BODY_BYTES`]. Default the text `ping`.
    pub message: WebSocketMessage,
    /// Which message is the answer. Default the same one.
    pub reply: Reply,
    /// A connection is closed and made anew after so many seconds: more than 0, at most 600. Default: it is kept.
    pub hold_s: Option<f64>,
    /// So many more connections are made and held without a message; pings are answered, and one that is lost is made anew.
    /// 0 to [`MAX_IDLE`]. Default 0.
    pub idle: u32,
    /// Several messages, one after the other, in the place of `message` and `reply`. Its fields stand among the others
    /// in JSON.
    #[cfg(feature = "scripts")]
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(!skip_deserializing))]
    pub visits: super::Visits<crate::WebSocketStep>,
    /// How much load, and when. Its fields stand among the others in JSON.
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(!skip_deserializing))]
    pub load: Load,
}

impl Default for WebSocketPlan {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            headers: BTreeMap::new(),
            message: WebSocketMessage::Text("ping".to_owned()),
            reply: Reply::default(),
            hold_s: None,
            idle: 0,
            #[cfg(feature = "scripts")]
            visits: super::Visits::default(),
            load: Load::default(),
        }
    }
}

flat!(WebSocketPlan, crate::WebSocketStep);

/// A WebSocket plan whose every field was checked and parsed.
#[derive(Debug, Clone)]
pub(crate) struct CheckedWebSocket {
    pub(crate) path: http::Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Bytes,
    pub(crate) is_text: bool,
    pub(crate) reply: Reply,
    pub(crate) hold: Option<std::time::Duration>,
    pub(crate) idle: u32,
    pub(crate) load: CheckedLoad,
    /// In the place of the one message above.
    #[cfg(feature = "scripts")]
    pub(crate) script: Option<std::sync::Arc<crate::script::Script>>,
}

impl WebSocketPlan {
    /// Checks every field without sending anything.
    ///
    /// # Errors
    /// [`PlanError`] names the first field that is out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        self.checked().map(|_| ())
    }

    pub(crate) fn checked(&self) -> Result<CheckedWebSocket, PlanError> {
        let path = checked_path(&self.path)?;
        for name in self.headers.keys() {
            let is_ours = name.eq_ignore_ascii_case("upgrade")
                || name.to_ascii_lowercase().starts_with("sec-websocket-")
                    && !name.eq_ignore_ascii_case("sec-websocket-protocol");
            if is_ours {
                return wrong(
                    &format!("headers.{name}"),
                    "is set by the load tester itself; leave it out",
                );
            }
        }
        let headers = checked_headers(&self.headers)?;
        let (message, is_text) = checked_message(&self.message, "message")?;
        check_reply(&self.reply, "reply")?;
        if self.reply == Reply::Nothing {
            return wrong(
                "reply",
                "`nothing` is of a step; a message alone wants a reply",
            );
        }
        // A NaN fails both comparisons, so it is refused here too.
        if self
            .hold_s
            .is_some_and(|hold_s| !(hold_s > 0.0 && hold_s <= MAX_DURATION_S))
        {
            return wrong(
                "hold_s",
                format!("wants more than 0 and at most {MAX_DURATION_S} seconds"),
            );
        }
        if self.idle > MAX_IDLE {
            return wrong("idle", format!("wants 0 to {MAX_IDLE}"));
        }
        let load = self.load.checked()?;
        Ok(CheckedWebSocket {
            path,
            headers,
            message,
            is_text,
            reply: self.reply.clone(),
            hold: self.hold_s.map(std::time::Duration::from_secs_f64),
            idle: self.idle,
            load,
            #[cfg(feature = "scripts")]
            script: self.script()?,
        })
    }

    #[cfg(feature = "scripts")]
    fn script(&self) -> Result<Option<std::sync::Arc<crate::script::Script>>, PlanError> {
        let usual = Self::default();
        let alone = [
            ("message", self.message != usual.message),
            ("reply", self.reply != usual.reply),
        ];
        super::visits::script(&self.visits, &BTreeMap::new(), self.load.part(), &alone)
    }
}

/// A message as bytes, and whether it is text.
pub(crate) fn checked_message(
    message: &WebSocketMessage,
    field: &str,
) -> Result<(Bytes, bool), PlanError> {
    let (message, is_text) = match message {
        WebSocketMessage::Text(text) => (Bytes::from(text.clone()), true),
        WebSocketMessage::Hex(digits) => match bytes_of(digits) {
            Some(bytes) => (Bytes::from(bytes), false),
            None => {
                return wrong(
                    &format!("{field}.hex"),
                    "wants hexadecimal digits, two a byte, as 00ff",
                );
            }
        },
    };
    if message.len() > MAX_BODY_BYTES {
        return wrong(
            field,
            format!(
                "wants at most {MAX_BODY_BYTES} bytes, has {}",
                message.len()
            ),
        );
    }
    Ok((message, is_text))
}

pub(crate) fn check_reply(reply: &Reply, field: &str) -> Result<(), PlanError> {
    if matches!(reply, Reply::Contains(part) if part.is_empty()) {
        return wrong(
            &format!("{field}.contains"),
            "wants a text; for any reply say `any`",
        );
    }
    Ok(())
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| u8::try_from(high * 16 + low).ok());
    if rest.is_empty() {
        bytes.collect()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_field_is_named() {
        let plan = WebSocketPlan::default;
        assert_eq!(plan().check(), Ok(()));
        let hex = |digits: &str| WebSocketPlan {
            message: WebSocketMessage::Hex(digits.to_owned()),
            ..plan()
        };
        let held = |hold_s: f64| WebSocketPlan {
            hold_s: Some(hold_s),
            ..plan()
        };
        let header = |name: &str| WebSocketPlan {
            headers: [(name.to_owned(), "x".to_owned())].into(),
            ..plan()
        };
        let wrong = [
            (
                "path",
                WebSocketPlan {
                    path: "//evil.example/".to_owned(),
                    ..plan()
                },
            ),
            ("message.hex", hex("0")),
            ("message.hex", hex("0g")),
            ("message.hex", hex("+1")),
            ("message", hex(&"00".repeat(MAX_BODY_BYTES + 1))),
            (
                "reply.contains",
                WebSocketPlan {
                    reply: Reply::Contains(String::new()),
                    ..plan()
                },
            ),
            ("hold_s", held(0.0)),
            ("hold_s", held(f64::NAN)),
            ("hold_s", held(601.0)),
            (
                "idle",
                WebSocketPlan {
                    idle: MAX_IDLE + 1,
                    ..plan()
                },
            ),
            ("headers.Upgrade", header("Upgrade")),
            ("headers.Sec-WebSocket-Key", header("Sec-WebSocket-Key")),
            ("headers.connection", header("connection")),
            (
                "requests",
                WebSocketPlan {
                    load: Load {
                        requests: Some(0),
                        ..plan().load
                    },
                    ..plan()
                },
            ),
        ];
        for (field, plan) in wrong {
            let error = plan.check().expect_err(field);
            assert_eq!(error.field, field, "{error}");
        }
        assert_eq!(header("Sec-WebSocket-Protocol").check(), Ok(()));
        assert_eq!(
            hex("00fF7a").checked().expect("right").message,
            &[0, 255, 0x7a][..]
        );
    }

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let text = r#"{"message": {"hex": "00ff"}, "reply": {"contains": "ok"}}"#;
        let plan: WebSocketPlan = serde_json::from_str(text).expect("a plan");
        assert_eq!(plan.reply, Reply::Contains("ok".to_owned()));
        assert_eq!(plan.check(), Ok(()));
        for text in [r#"{"messages": 1}"#, r#"{"reply": "echoes"}"#] {
            assert!(
                serde_json::from_str::<WebSocketPlan>(text).is_err(),
                "{text}"
            );
        }
    }
}
