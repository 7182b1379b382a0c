//! PostgreSQL, by tokio-postgres.
//!
//! | file | role |
//! |---|---|
//! | `live` | a connection that is there, and one statement on it |
//! | `kind` | what kind of error one is |
//! | `steps` | the statements of a visit |
//! | `pipeline` | connections with several statements under way |
//! | here | a connection with one statement after the other |

mod kind;
mod live;
mod pipeline;
#[cfg(feature = "scripts")]
mod steps;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use self::kind::Fault;
use self::live::{ANSWER, Live};
pub(super) use self::live::{Work, try_out};
pub(super) use self::pipeline::run as pipelined;
use super::exchange::{Attempt, Exchange};
use super::patience::Patience;
use super::thread::Thread;
use crate::record::ErrorKind;

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

    /// Executes the statement once. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        Exchange::of(async |begin| self.attempt(begin).await).await
    }

    async fn attempt(&mut self, begin: Instant) -> Attempt {
        let was_kept = self.live.is_some();
        let keep_alive = self.work.plan.keep_alive;
        let (mut live, sent) = match self.live.take() {
            Some(live) => (live, begin),
            None => match Live::connect(&self.thread, &self.work).await {
                // Where each request connects, connecting is what it measures.
                Ok(live) => (live, if keep_alive { Instant::now() } else { begin }),
                Err(kind) => return Attempt::Made(Exchange::refused(begin, Err(kind)).await),
            },
        };
        let answer = self.patience.wait(sent, live.execute(&self.work)).await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(())) => Ok(ANSWER),
            Some(Err(error)) => match self.work.fault(&error, live.fate(), ended - sent) {
                Fault::NeverSent => {
                    live.lost();
                    return Attempt::NeverSent { was_kept };
                }
                Fault::Of(kind, code) => {
                    self.thread.count_sql_state(code.as_ref());
                    Err(kind)
                }
            },
            None => Err(ErrorKind::Timeout),
        };
        if !matches!(outcome, Ok(_) | Err(ErrorKind::Sql)) || live.has_ended() {
            live.lost();
        } else if keep_alive {
            self.live = Some(live);
        } else {
            let _ = self.patience.wait(ended, live.disconnect()).await;
        }
        Attempt::Made(Exchange {
            sent,
            ended,
            outcome,
        })
    }
}
