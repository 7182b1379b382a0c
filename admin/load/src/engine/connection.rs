//! One connection of any protocol, as the two models of load see it.

#[cfg(feature = "http2")]
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::call;
use super::exchange::Exchange;
use super::http1;
#[cfg(feature = "http2")]
use super::http2;
#[cfg(feature = "postgres")]
use super::postgres;
use super::thread::Thread;
#[cfg(feature = "websocket")]
use super::websocket;
#[cfg(feature = "scripts")]
use crate::script::Sent;

/// What a run sends, and where: one for each protocol.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Call(Arc<call::Work>),
    Http1(Arc<http1::Work>),
    #[cfg(feature = "http2")]
    Http2(Arc<http2::Work>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<postgres::Work>),
    #[cfg(feature = "websocket")]
    WebSocket(Arc<websocket::Work>),
}

impl Work {
    /// What visitors do, in the place of one request after the other.
    #[cfg(feature = "scripts")]
    pub(super) fn script(&self) -> Option<&Arc<crate::script::Script>> {
        match self {
            Self::Call(_) => None,
            Self::Http1(work) => work.script.as_ref(),
            #[cfg(feature = "http2")]
            Self::Http2(work) => work.plan.script.as_ref(),
            #[cfg(feature = "postgres")]
            Self::Postgres(work) => work.plan.script.as_ref(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(work) => work.plan.script.as_ref(),
        }
    }

    /// Requests at once on each connection, each sent by a [`Connection`] of its own.
    pub(super) fn streams(&self) -> usize {
        match self {
            #[cfg(feature = "http2")]
            Self::Http2(work) => work.plan.streams.unwrap_or(1) as usize,
            _ => 1,
        }
    }

    /// Names of the steps, where there are some.
    pub(super) fn steps(&self) -> Vec<String> {
        #[cfg(feature = "scripts")]
        if let Some(script) = self.script() {
            return script.names().to_vec();
        }
        Vec::new()
    }

    /// Whether a connection of a closed model can be left out for a while.
    pub(super) fn can_rest(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(work) => work.plan.depth.is_none(),
            _ => true,
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

/// What a thread makes its connections by.
pub(super) struct Connections {
    pub(super) thread: Rc<Thread>,
    pub(super) work: Work,
    /// HTTP/2 connections, as far as they are needed.
    #[cfg(feature = "http2")]
    shared: RefCell<Vec<Rc<http2::Shared>>>,
}

/// Sends one request after the other, and connects when it has to.
pub(super) enum Connection {
    Call(call::Connection),
    Http1(http1::Connection),
    #[cfg(feature = "http2")]
    Http2(http2::Connection),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Connection),
    #[cfg(feature = "websocket")]
    WebSocket(websocket::Connection),
}

impl Connections {
    pub(super) fn new(thread: Thread, work: Work) -> Self {
        Self {
            thread: Rc::new(thread),
            work,
            #[cfg(feature = "http2")]
            shared: RefCell::default(),
        }
    }

    /// `number` counts those of a thread from 0.
    pub(super) fn make(&self, number: usize) -> Connection {
        let _ = number;
        let thread = &self.thread;
        match &self.work {
            Work::Call(work) => Connection::Call(call::Connection::new(Arc::clone(work))),
            Work::Http1(work) => {
                Connection::Http1(http1::Connection::new(thread, Arc::clone(work)))
            }
            #[cfg(feature = "http2")]
            Work::Http2(work) => {
                let shared = self.shared(number / self.work.streams());
                Connection::Http2(http2::Connection::new(thread, Arc::clone(work), shared))
            }
            #[cfg(feature = "postgres")]
            Work::Postgres(work) => {
                Connection::Postgres(postgres::Connection::new(thread, Arc::clone(work)))
            }
            #[cfg(feature = "websocket")]
            Work::WebSocket(work) => {
                Connection::WebSocket(websocket::Connection::new(thread, Arc::clone(work)))
            }
        }
    }

    /// One of the connections that several requests share.
    #[cfg(feature = "http2")]
    fn shared(&self, number: usize) -> Rc<http2::Shared> {
        let mut shared = self.shared.borrow_mut();
        if shared.len() <= number {
            shared.resize_with(number + 1, Rc::default);
        }
        Rc::clone(&shared[number])
    }
}

impl Connection {
    /// Sends one request and waits for the end of its answer. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        match self {
            Self::Call(connection) => connection.send().await,
            Self::Http1(connection) => connection.send().await,
            #[cfg(feature = "http2")]
            Self::Http2(connection) => connection.send().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.send().await,
            #[cfg(feature = "websocket")]
            Self::WebSocket(connection) => connection.send().await,
        }
    }

    /// Sends one step of a visit.
    #[cfg(feature = "scripts")]
    pub(super) async fn send_step(
        &mut self,
        sent: &Sent,
        is_first: bool,
        reply: &mut crate::script::Reply,
    ) -> Exchange {
        let _ = is_first;
        match (self, sent) {
            (Self::Http1(connection), Sent::Http(request)) => {
                connection.send_one(request, reply).await
            }
            #[cfg(feature = "http2")]
            (Self::Http2(connection), Sent::Http(request)) => {
                connection.send_one(request, reply).await
            }
            #[cfg(feature = "postgres")]
            (Self::Postgres(connection), Sent::Sql(sql)) => {
                connection.send_step(sql, is_first, reply).await
            }
            #[cfg(feature = "websocket")]
            (Self::WebSocket(connection), Sent::Message(message)) => {
                connection.send_step(message, is_first, reply).await
            }
            _ => unreachable!("a plan's steps are of its protocol"),
        }
    }

    /// A visit has ended: what the next one must not find is put away.
    #[cfg(feature = "scripts")]
    pub(super) async fn visited(&mut self, is_good: bool) {
        let _ = is_good;
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.visited(is_good).await,
            #[cfg(feature = "websocket")]
            Self::WebSocket(connection) => connection.visited(is_good).await,
            _ => {}
        }
    }
}
