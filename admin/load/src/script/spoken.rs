//! A step of any protocol, as its compiler sees it.

use std::collections::BTreeMap;

#[cfg(feature = "postgres")]
use super::PostgresStep;
#[cfg(feature = "websocket")]
use super::WebSocketStep;
use super::{Capture, Expect, Step};

/// What steps of all protocols have, and what is one's own.
pub(crate) struct Parts<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) think_ms: u64,
    pub(super) expect: &'a Expect,
    pub(super) capture: &'a BTreeMap<String, Capture>,
    pub(super) own: Own<'a>,
}

pub(super) enum Own<'a> {
    Http(&'a Step),
    #[cfg(feature = "postgres")]
    Postgres(&'a PostgresStep),
    #[cfg(feature = "websocket")]
    WebSocket(&'a WebSocketStep),
}

pub(crate) trait Spoken {
    fn parts(&self) -> Parts<'_>;
}

/// Implements it for a step whose common fields have their usual names.
macro_rules! spoken {
    ($step:ident, $own:ident) => {
        impl Spoken for $step {
            fn parts(&self) -> Parts<'_> {
                Parts {
                    name: self.name.as_deref(),
                    think_ms: self.think_ms,
                    expect: &self.expect,
                    capture: &self.capture,
                    own: Own::$own(self),
                }
            }
        }
    };
}

spoken!(Step, Http);
#[cfg(feature = "postgres")]
spoken!(PostgresStep, Postgres);
#[cfg(feature = "websocket")]
spoken!(WebSocketStep, WebSocket);

/// Which checks and captures there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "websocket")]
    WebSocket,
}

impl Protocol {
    pub(super) const fn is_http(self) -> bool {
        matches!(self, Self::Http)
    }

    /// Whether an answer is rows.
    pub(super) const fn has_rows(self) -> bool {
        #[cfg(feature = "postgres")]
        if matches!(self, Self::Postgres) {
            return true;
        }
        false
    }
}

impl Own<'_> {
    pub(super) const fn protocol(&self) -> Protocol {
        match self {
            Self::Http(_) => Protocol::Http,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Protocol::Postgres,
            #[cfg(feature = "websocket")]
            Self::WebSocket(_) => Protocol::WebSocket,
        }
    }

    /// How reports name a step that has no name; `number` counts those of its flow from 1.
    pub(super) fn usual_name(&self, number: usize) -> String {
        let _ = number;
        match self {
            Self::Http(step) => format!("{} {}", step.method, step.path),
            #[cfg(feature = "postgres")]
            Self::Postgres(step) => {
                let mut name = step.sql.clone();
                name.truncate(name.floor_char_boundary(100));
                name
            }
            #[cfg(feature = "websocket")]
            Self::WebSocket(step) => {
                let word = if step.send.is_some() { "send" } else { "wait" };
                format!("{word} {number}")
            }
        }
    }
}
