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
use http::Method;

use self::live::{Fault, Live};
use self::request::{Common, bytes_of};
use super::exchange::{Attempt, Exchange, Listen};
use super::patience::Patience;
use super::thread::Thread;
use crate::plan::Checked;
use crate::record::ErrorKind;
use crate::request::Request;
use crate::run_name::RunName;
use crate::targets::Target;

/// What is sent, and where.
#[derive(Debug)]
pub(super) struct Work {
    target: Target,
    request: Bytes,
    /// Whether its answer can have one.
    have_body: bool,
    common: Common,
    timeout: Duration,
    #[cfg(feature = "scripts")]
    pub(super) script: Option<Arc<crate::script::Script>>,
}

impl Work {
    pub(super) fn new(plan: &Checked, target: Target, name: &RunName) -> Self {
        let common = Common {
            authority: target.authority().to_owned(),
            keep_alive: plan.keep_alive,
            mark: name.header(),
        };
        Self {
            request: bytes_of(&Request::of(plan), &common),
            have_body: plan.method != Method::HEAD,
            common,
            #[cfg(feature = "scripts")]
            script: plan.script.clone(),
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
        let request = self.work.request.clone();
        let have_body = self.work.have_body;
        Exchange::of(async |begin| self.attempt(begin, &request, have_body, &mut ()).await).await
    }

    /// Sends a request of a visit, and tells `reply` what is answered.
    #[cfg(feature = "scripts")]
    pub(super) async fn send_one(
        &mut self,
        request: &Request,
        reply: &mut impl Listen,
    ) -> Exchange {
        let bytes = bytes_of(request, &self.work.common);
        let have_body = request.method != Method::HEAD;
        Exchange::of(async |begin| self.attempt(begin, &bytes, have_body, reply).await).await
    }

    async fn attempt(
        &mut self,
        begin: Instant,
        request: &[u8],
        have_body: bool,
        heard: &mut impl Listen,
    ) -> Attempt {
        let (mut live, was_kept) = match self.quiet() {
            Some(live) => (live, true),
            None => match Live::connect(&self.thread, &self.work).await {
                Ok(live) => (live, false),
                Err(kind) => return Attempt::Made(Exchange::refused(begin, Err(kind)).await),
            },
        };
        // Where each request connects, connecting is part of it.
        let sent = if was_kept || !self.work.common.keep_alive {
            begin
        } else {
            Instant::now()
        };
        live.expect(have_body);
        let exchange = live.exchange(request, heard);
        let answer = self.patience.wait(sent, exchange).await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(answer)) => {
                if !self.work.common.keep_alive {
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
