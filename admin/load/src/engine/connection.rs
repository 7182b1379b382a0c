//! One connection of any protocol, as the two models of load see it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::http1;
#[cfg(feature = "http2")]
use super::http2;
#[cfg(feature = "postgres")]
use super::postgres;
use super::thread::Thread;
#[cfg(feature = "websocket")]
use super::websocket;
use crate::record::{Answer, ErrorKind};

/// Connecting takes at most a second: an unreachable target is to be known soon.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After a refused connection the next try waits, so that a dead target is not hammered.
pub(super) const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// What a run sends, and where: one for each protocol.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Http1(Arc<http1::Work>),
    #[cfg(feature = "http2")]
    Http2(Arc<http1::Work>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<postgres::Work>),
    #[cfg(feature = "websocket")]
    WebSocket(Arc<websocket::Work>),
}

impl Work {
    /// Requests at once on each connection, each sent by a [`Connection`] of its own.
    pub(super) fn streams(&self) -> usize {
        match self {
            #[cfg(feature = "http2")]
            Self::Http2(work) => work.plan.streams.unwrap_or(1) as usize,
            _ => 1,
        }
    }

    /// Connections that are held without a request.
    pub(super) fn idle(&self) -> usize {
        match self {
            #[cfg(feature = "websocket")]
            Self::WebSocket(work) => work.plan.idle as usize,
            _ => 0,
        }
    }
}

/// Sends one request after the other, and connects when it has to.
pub(super) enum Connection {
    Http1(http1::Connection),
    #[cfg(feature = "http2")]
    Http2(http2::Connection),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Connection),
    #[cfg(feature = "websocket")]
    WebSocket(websocket::Connection),
}

/// What came of one request.
pub(super) struct Exchange {
    pub(super) sent: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Result<Answer, ErrorKind>,
}

impl Connection {
    /// `number` counts those of a thread from 0.
    pub(super) fn new(thread: &Rc<Thread>, number: usize) -> Self {
        let _ = number;
        match &thread.work {
            Work::Http1(work) => Self::Http1(http1::Connection::new(thread, Arc::clone(work))),
            #[cfg(feature = "http2")]
            Work::Http2(work) => {
                let shared = thread.shared_connection(number / thread.work.streams());
                Self::Http2(http2::Connection::new(thread, Arc::clone(work), shared))
            }
            #[cfg(feature = "postgres")]
            Work::Postgres(work) => {
                Self::Postgres(postgres::Connection::new(thread, Arc::clone(work)))
            }
            #[cfg(feature = "websocket")]
            Work::WebSocket(work) => {
                Self::WebSocket(websocket::Connection::new(thread, Arc::clone(work)))
            }
        }
    }

    /// Sends one request and waits for the end of its answer. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        match self {
            Self::Http1(connection) => connection.send().await,
            #[cfg(feature = "http2")]
            Self::Http2(connection) => connection.send().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.send().await,
            #[cfg(feature = "websocket")]
            Self::WebSocket(connection) => connection.send().await,
        }
    }
}
