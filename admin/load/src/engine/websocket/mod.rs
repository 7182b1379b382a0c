//! WebSocket (RFC 6455), by tokio-websockets.
//!
//! | file | role |
//! |---|---|
//! | `live` | a connection that is there |
//! | `idle` | connections that are held without a message |
//! | here | a connection with one message and its reply after the other |

mod idle;
mod live;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

pub(super) use self::idle::hold;
pub(super) use self::live::Work;
use self::live::{Live, Refused};
use super::exchange::Exchange;
use super::patience::Patience;
use super::thread::Thread;
use crate::record::{Answer, ErrorKind};

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
            patience: Patience::new(work.plan.load.timeout),
            work,
            live: None,
        }
    }

    /// Sends the message and waits for its reply. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        let begin = Instant::now();
        let (mut live, sent) = match self.rested().await {
            Some(live) => (live, begin),
            None => match Live::connect(&self.thread, &self.work).await {
                Ok(live) => (live, Instant::now()),
                Err(Refused::Status(status)) => {
                    let answer = Answer {
                        status: Some(status),
                        body_bytes: 0,
                    };
                    return Exchange::refused(begin, Ok(answer)).await;
                }
                Err(Refused::Error(kind)) => return Exchange::refused(begin, Err(kind)).await,
            },
        };
        let answer = self.patience.wait(sent, live.converse(&self.work)).await;
        let ended = Instant::now();
        let outcome = answer.unwrap_or(Err(ErrorKind::Timeout));
        match outcome {
            Ok(_) | Err(ErrorKind::Check) => self.live = Some(live),
            Err(_) => live.lost(),
        }
        Exchange {
            sent,
            ended,
            outcome,
        }
    }

    /// The connection of the message before, if it is still there and not to be closed by now. What the target closed while
    /// nobody spoke is no error of a message; the connection counts as lost.
    async fn rested(&mut self) -> Option<Live> {
        let mut live = self.live.take()?;
        if !live.is_there() {
            live.lost();
            return None;
        }
        if live.has_been_held(&self.work) {
            let begin = Instant::now();
            let _ = self.patience.wait(begin, live.close()).await;
            return None;
        }
        Some(live)
    }
}
