//! HTTP/1.1 (RFC 9112), by hand: of all that a client library does, load needs little, and what it does not need would be paid
//! for by each request.
//!
//! | file | role |
//! |---|---|
//! | `request` | a request as the bytes that are sent |
//! | `answer`, `chunks` | reads answers as they come |
//! | `live` | a connection that is there, and one request on it |
//! | here | a connection with one request after the other |

mod answer;
mod chunks;
mod live;
mod request;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::live::{Fault, Live};
use super::exchange::{Attempt, Exchange};
use super::patience::Patience;
use super::thread::Thread;
use crate::plan::Checked;
use crate::record::ErrorKind;
use crate::targets::Target;

/// What is sent, and where.
#[derive(Debug)]
pub(super) struct Work {
    target: Target,
    request: Bytes,
    /// Whether an answer can have one.
    have_body: bool,
    keep_alive: bool,
    timeout: Duration,
}

impl Work {
    pub(super) fn new(plan: &Checked, target: Target, run: &str) -> Self {
        Self {
            request: request::bytes_of(plan, &target, run),
            have_body: plan.method != http::Method::HEAD,
            keep_alive: plan.keep_alive,
            timeout: plan.load.timeout,
            target,
        }
    }
}

pub(super) struct Connection {
    thread: Rc<Thread>,
    work: Arc<Work>,
    patience: Patience,
    live: Option<Live>,
}

impl Connection {
    pub(super) fn new(thread: &Rc<Thread>, work: Arc<Work>) -> Self {
        Self {
            thread: Rc::clone(thread),
            patience: Patience::new(work.timeout),
            work,
            live: None,
        }
    }

    /// Sends one request and waits for the end of its answer. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        Exchange::of(async |begin| self.attempt(begin).await).await
    }

    async fn attempt(&mut self, begin: Instant) -> Attempt {
        let (mut live, was_kept) = match self.quiet() {
            Some(live) => (live, true),
            None => match Live::connect(&self.thread, &self.work).await {
                Ok(live) => (live, false),
                Err(kind) => return Attempt::Made(Exchange::refused(begin, Err(kind)).await),
            },
        };
        // Where each request connects, connecting is part of it.
        let sent = if was_kept || !self.work.keep_alive {
            begin
        } else {
            Instant::now()
        };
        let exchange = live.exchange(&self.work.request);
        let answer = self.patience.wait(sent, exchange).await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(answer)) => {
                if !self.work.keep_alive {
                    drop(live);
                } else if answer.is_kept {
                    self.live = Some(live);
                } else {
                    live.lost();
                }
                Ok(answer.answer)
            }
            bad => {
                live.lost();
                match bad {
                    Some(Err(Fault::NeverSent)) => return Attempt::NeverSent { was_kept },
                    Some(Err(Fault::Of(kind))) => Err(kind),
                    _ => Err(ErrorKind::Timeout),
                }
            }
        };
        Attempt::Made(Exchange {
            sent,
            ended,
            outcome,
        })
    }

    /// The connection of the request before, if it is still there.
    fn quiet(&mut self) -> Option<Live> {
        let mut live = self.live.take()?;
        if live.is_quiet() {
            return Some(live);
        }
        live.lost();
        None
    }
}
