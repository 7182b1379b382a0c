//! HTTP/2: connections that several requests share, by hyper.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::exchange::{Attempt, CONNECT_TIMEOUT, Exchange, Listen};
use super::patience::Patience;
use super::presence::Presence;
use super::socket::Socket;
use super::thread::Thread;
use crate::plan::Checked;
use crate::record::{Answer, ErrorKind};
use crate::request::Request;
use crate::run_name::RunName;
use crate::targets::Target;

/// What is sent, and where.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) plan: Checked,
    pub(super) target: Target,
}

/// One stream after the other on a connection that others use too.
pub(super) struct Connection {
    thread: Rc<Thread>,
    work: Arc<Work>,
    shared: Rc<Shared>,
    /// The plan's one.
    request: http::Request<Full<Bytes>>,
    patience: Patience,
}

/// A connection, made by whoever needs it first.
#[derive(Default)]
pub(super) struct Shared {
    live: RefCell<Option<Live>>,
    made: Cell<u64>,
    connecting: tokio::sync::Mutex<()>,
}

struct Live {
    /// Which of the connections that there were.
    number: u64,
    sender: SendRequest<Full<Bytes>>,
    presence: Presence,
}

/// Runs what hyper needs to have run on the thread of the connection.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(async {
            work.await;
        });
    }
}

impl Connection {
    pub(super) fn new(thread: &Rc<Thread>, work: Arc<Work>, shared: Rc<Shared>) -> Self {
        Self {
            thread: Rc::clone(thread),
            shared,
            request: whole(&Request::of(&work.plan), &work, &thread.shared.name),
            patience: Patience::new(work.plan.load.timeout),
            work,
        }
    }

    /// Sends one request and waits for the end of its answer. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        Exchange::of(async |begin| {
            let request = self.request.clone();
            self.attempt(begin, request, &mut ()).await
        })
        .await
    }

    /// Sends a request of a visit, and tells `heard` what is answered.
    #[cfg(feature = "scripts")]
    pub(super) async fn send_one(
        &mut self,
        request: &Request,
        heard: &mut impl Listen,
    ) -> Exchange {
        let request = whole(request, &self.work, &self.thread.shared.name);
        Exchange::of(async |begin| self.attempt(begin, request.clone(), heard).await).await
    }

    async fn attempt(
        &mut self,
        begin: Instant,
        request: http::Request<Full<Bytes>>,
        heard: &mut impl Listen,
    ) -> Attempt {
        let (mut sender, number, is_new) = match self.sender().await {
            Ok(there) => there,
            Err(kind) => return Attempt::Made(Exchange::refused(begin, Err(kind)).await),
        };
        let sent = if is_new { Instant::now() } else { begin };
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            heard.begin();
            for (name, value) in response.headers() {
                heard.header(name.as_str(), value.as_bytes());
            }
            let mut body = response.into_body();
            let mut body_bytes = 0_u64;
            while let Some(frame) = body.frame().await {
                if let Some(data) = frame?.data_ref() {
                    body_bytes += data.len() as u64;
                    heard.data(data);
                }
            }
            Ok::<_, hyper::Error>(Answer {
                status: Some(status),
                body_bytes,
            })
        };
        let answer = self.patience.wait(sent, exchange).await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) if error.is_canceled() => {
                return Attempt::NeverSent { was_kept: !is_new };
            }
            Some(Err(error)) if was_not_processed(&error) => {
                self.shared.leave(number);
                return Attempt::NeverSent { was_kept: true };
            }
            Some(Err(error)) => Err(kind_of(&error)),
            // The stream is reset with it; the connection and its other streams go on.
            None => Err(ErrorKind::Timeout),
        };
        Attempt::Made(Exchange {
            sent,
            ended,
            outcome,
        })
    }

    /// A handle on the live connection, which one it is, and whether it was made now.
    async fn sender(&self) -> Result<(SendRequest<Full<Bytes>>, u64, bool), ErrorKind> {
        if let Some((sender, number)) = self.shared.sender() {
            return Ok((sender, number, false));
        }
        // Whoever comes second waits for the one who connects.
        let _connecting = self.shared.connecting.lock().await;
        if let Some((sender, number)) = self.shared.sender() {
            return Ok((sender, number, true));
        }
        let connecting = async {
            let socket = Socket::connect(&self.work.target).await?;
            let (sender, connection) = handshake(OnThisThread, TokioIo::new(socket))
                .await
                .map_err(|_| ErrorKind::Protocol)?;
            tokio::task::spawn_local(connection);
            Ok(sender)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(ErrorKind::Connect));
        let sender =
            connected.inspect_err(|_| self.thread.count(|details| details.refused += 1))?;
        let number = self.shared.made.get();
        self.shared.made.set(number + 1);
        *self.shared.live.borrow_mut() = Some(Live {
            number,
            sender: sender.clone(),
            presence: Presence::new(&self.thread),
        });
        Ok((sender, number, true))
    }
}

/// With what is the connection's own.
fn whole(of: &Request, work: &Work, name: &RunName) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::new(Full::new(of.body.clone()));
    *request.method_mut() = of.method.clone();
    *request.headers_mut() = of.headers.iter().cloned().collect();
    if let Some(mark) = name.header() {
        request.headers_mut().insert(crate::RUN_HEADER, mark);
    }
    // Checked with the plan, and values in it are percent-encoded.
    let path = of.path.parse().unwrap_or_default();
    *request.uri_mut() = work.target.absolute(&path);
    request
}

impl Shared {
    /// None where there is no connection, or none any more.
    fn sender(&self) -> Option<(SendRequest<Full<Bytes>>, u64)> {
        let mut live = self.live.borrow_mut();
        let there = live.as_mut()?;
        if there.sender.is_closed() {
            there.presence.lost();
            *live = None;
            return None;
        }
        Some((there.sender.clone(), there.number))
    }

    /// No more is sent on that connection; what is under way there goes on.
    fn leave(&self, number: u64) {
        let mut live = self.live.borrow_mut();
        if let Some(there) = live.as_mut().filter(|there| there.number == number) {
            there.presence.lost();
            *live = None;
        }
    }
}

/// Whether the other side goes away in peace and has not looked at the request: it may be sent again (RFC 9113, 6.8).
fn was_not_processed(error: &hyper::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    // A stream that is refused alone (REFUSED_STREAM) may be sent again too, but then the target has too much to do: that is told.
    cause.is_some_and(|cause| {
        cause.is_remote() && cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// hyper tells by the cause whether the other side broke the rules or the connection.
fn kind_of(error: &hyper::Error) -> ErrorKind {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    match cause {
        Some(cause) if cause.is_library() => ErrorKind::Protocol,
        _ => ErrorKind::Reset,
    }
}
