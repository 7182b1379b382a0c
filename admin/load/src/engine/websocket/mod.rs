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
        let (mut live, sent) = match self.there(begin).await {
            Ok(there) => there,
            Err(refused) => return refused,
        };
        let answer = self.patience.wait(sent, live.converse(&self.work)).await;
        self.ended(live, sent, answer)
    }

    /// A connection that is there, and since when the message is sent; connects where it has to.
    async fn there(&mut self, begin: Instant) -> Result<(Live, Instant), Exchange> {
        if let Some(live) = self.rested().await {
            return Ok((live, begin));
        }
        match Live::connect(&self.thread, &self.work).await {
            Ok(live) => Ok((live, Instant::now())),
            Err(Refused::Status(status)) => {
                let answer = Answer {
                    status: Some(status),
                    body_bytes: 0,
                };
                Err(Exchange::refused(begin, Ok(answer)).await)
            }
            Err(Refused::Error(kind)) => Err(Exchange::refused(begin, Err(kind)).await),
        }
    }

    fn ended(
        &mut self,
        live: Live,
        sent: Instant,
        answer: Option<Result<Answer, ErrorKind>>,
    ) -> Exchange {
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

    /// Takes a step of a visit. The first connects where it has to, and what came before it is nobody's; a later one finds what
    /// came meanwhile, and is in error where the connection has ended.
    #[cfg(feature = "scripts")]
    pub(super) async fn send_step(
        &mut self,
        message: &crate::script::Message,
        is_first: bool,
        reply: &mut crate::script::Reply,
    ) -> Exchange {
        let begin = Instant::now();
        let (mut live, sent) = if is_first {
            match self.there(begin).await {
                Ok(there) => there,
                Err(refused) => return refused,
            }
        } else if let Some(live) = self.live.take() {
            (live, begin)
        } else {
            return Exchange {
                sent: begin,
                ended: Instant::now(),
                outcome: Err(ErrorKind::Reset),
            };
        };
        let exchange = live.exchange(message.content.clone(), &message.reply, reply);
        let answer = self.patience.wait(sent, exchange).await;
        self.ended(live, sent, answer)
    }

    /// After a visit that failed nobody knows what is still to come, so the next one has a connection of its own.
    #[cfg(feature = "scripts")]
    pub(super) async fn visited(&mut self, is_good: bool) {
        if !is_good && let Some(live) = self.live.take() {
            let begin = Instant::now();
            let _ = self.patience.wait(begin, live.close()).await;
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
