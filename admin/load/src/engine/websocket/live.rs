//! A connection that is there.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt};
use http::HeaderName;
use tokio_websockets::{ClientBuilder, Error, Limits, Message, WebSocketStream, upgrade};

use super::super::exchange::{CONNECT_TIMEOUT, Listen};
use super::super::presence::Presence;
use super::super::socket::Socket;
use super::super::thread::Thread;
use crate::plan::{CheckedWebSocket, MAX_BODY_BYTES, Reply};
use crate::record::{Answer, ErrorKind};
use crate::targets::Target;

/// The longest reply. A longer one is a protocol error.
const MAX_REPLY_BYTES: usize = 16 * MAX_BODY_BYTES;
/// The connection ended without a close frame (RFC 6455, 7.1.5).
const ABNORMAL_CLOSURE: u16 = 1_006;

/// What is sent, and where.
#[derive(Debug)]
pub(in super::super) struct Work {
    pub(in super::super) plan: CheckedWebSocket,
    pub(in super::super) target: Target,
}

/// Why there is no connection.
pub(super) enum Refused {
    /// The server answered the handshake with a status of 400 or above.
    Status(u16),
    Error(ErrorKind),
}

pub(super) struct Live {
    stream: WebSocketStream<Socket>,
    since: Instant,
    thread: Rc<Thread>,
    presence: Presence,
}

impl Live {
    pub(super) async fn connect(thread: &Rc<Thread>, work: &Work) -> Result<Self, Refused> {
        let connecting = async {
            let socket = Socket::connect(&work.target)
                .await
                .map_err(Refused::Error)?;
            let (stream, _) = work
                .handshake(thread)?
                .connect_on(socket)
                .await
                .map_err(|error| refused(&error))?;
            Ok(Self {
                stream,
                since: Instant::now(),
                thread: Rc::clone(thread),
                presence: Presence::new(thread),
            })
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(Refused::Error(ErrorKind::Connect)));
        if connected.is_err() {
            thread.count(|details| details.refused += 1);
        }
        connected
    }

    /// The plan's message and its reply.
    pub(super) async fn converse(&mut self, work: &Work) -> Result<Answer, ErrorKind> {
        let plan = &work.plan;
        let content = Some((plan.message.clone(), plan.is_text));
        self.exchange(content, &plan.reply, &mut ()).await
    }

    /// A message, if there is one, and the message that is its reply, which `heard` is told.
    pub(super) async fn exchange(
        &mut self,
        content: Option<(Bytes, bool)>,
        reply: &Reply,
        heard: &mut impl Listen,
    ) -> Result<Answer, ErrorKind> {
        if let Some((payload, is_text)) = &content {
            let message = if *is_text {
                Message::text(payload.clone())
            } else {
                Message::binary(payload.clone())
            };
            if let Err(error) = self.stream.send(message).await {
                return Err(self.ended(Some(&error)));
            }
        }
        heard.begin();
        if *reply == Reply::Nothing {
            return Ok(Answer {
                status: None,
                body_bytes: 0,
            });
        }
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(self.ended(Some(&error))),
                None => return Err(self.ended(None)),
            };
            if let Some((code, _)) = message.as_close() {
                self.thread.count(|details| details.closed(code.into()));
                return Err(ErrorKind::Reset);
            }
            if message.is_ping() || message.is_pong() {
                continue;
            }
            let bytes = message.as_payload();
            let is_it = match reply {
                Reply::Contains(part) => contains(bytes, part.as_bytes()),
                _ => true,
            };
            if !is_it {
                continue;
            }
            let is_same = content
                .as_ref()
                .is_some_and(|(sent, is_text)| **bytes == **sent && message.is_text() == *is_text);
            if *reply == Reply::Echo && !is_same {
                return Err(ErrorKind::Check);
            }
            heard.data(bytes);
            return Ok(Answer {
                status: None,
                body_bytes: bytes.len() as u64,
            });
        }
    }

    /// Takes what has come while nobody asked, answers pings, and says whether the connection is still there. Does not wait.
    pub(super) fn is_there(&mut self) -> bool {
        // No task is woken by what comes later: whoever sends next looks again.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            match Pin::new(&mut self.stream).poll_next(&mut cx) {
                Poll::Pending => return true,
                Poll::Ready(Some(Ok(message))) => {
                    if let Some((code, _)) = message.as_close() {
                        self.thread.count(|details| details.closed(code.into()));
                        return false;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended(Some(&error));
                    return false;
                }
                Poll::Ready(None) => {
                    self.ended(None);
                    return false;
                }
            }
        }
    }

    /// Answers pings until the connection ends by the target's doing.
    pub(super) async fn listen(&mut self) {
        loop {
            match self.stream.next().await {
                Some(Ok(message)) => {
                    if let Some((code, _)) = message.as_close() {
                        self.thread.count(|details| details.closed(code.into()));
                        return;
                    }
                }
                Some(Err(error)) => {
                    self.ended(Some(&error));
                    return;
                }
                None => {
                    self.ended(None);
                    return;
                }
            }
        }
    }

    pub(super) fn has_been_held(&self, work: &Work) -> bool {
        work.plan
            .hold
            .is_some_and(|hold| self.since.elapsed() >= hold)
    }

    /// The closing handshake, with code 1000.
    pub(super) async fn close(mut self) {
        let _ = self.stream.close().await;
    }

    /// Nobody here wanted it to end.
    pub(super) fn lost(mut self) {
        self.presence.lost();
    }

    /// It ended without a close frame.
    fn ended(&self, error: Option<&Error>) -> ErrorKind {
        match error {
            Some(Error::Protocol(_) | Error::PayloadTooLong { .. }) => ErrorKind::Protocol,
            _ => {
                self.thread
                    .count(|details| details.closed(ABNORMAL_CLOSURE));
                ErrorKind::Reset
            }
        }
    }
}

impl Work {
    fn handshake(&self, thread: &Thread) -> Result<ClientBuilder<'static>, Refused> {
        let wrong = || Refused::Error(ErrorKind::Protocol);
        let uri = format!("ws://{}{}", self.target.authority, self.plan.path);
        let mut builder = ClientBuilder::new()
            .uri(&uri)
            .map_err(|_| wrong())?
            .limits(Limits::default().max_payload_len(Some(MAX_REPLY_BYTES)));
        for (name, value) in &self.plan.headers {
            builder = builder
                .add_header(name.clone(), value.clone())
                .map_err(|_| wrong())?;
        }
        let name = HeaderName::from_static(crate::RUN_HEADER);
        if let Some(mark) = thread.shared.name.header() {
            builder = builder.add_header(name, mark).map_err(|_| wrong())?;
        }
        Ok(builder)
    }
}

fn refused(error: &Error) -> Refused {
    match error {
        Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) if *status >= 400 => {
            Refused::Status(*status)
        }
        Error::Io(_) => Refused::Error(ErrorKind::Reset),
        _ => Refused::Error(ErrorKind::Protocol),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
