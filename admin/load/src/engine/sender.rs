//! What sends once for each arrival: one request, or the steps of a visit.

#[cfg(feature = "scripts")]
use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, Connections};
use super::exchange::Exchange;
use super::thread::Thread;
use crate::record::Sample;
#[cfg(feature = "scripts")]
use crate::script::{Script, Visitor};

/// An arrival of an open model that was given to a connection.
pub(super) struct Due {
    pub(super) intended: Instant,
    /// When the thread took it up.
    pub(super) taken: Instant,
    /// Whether no connection was free then.
    pub(super) has_waited: bool,
}

/// A connection and what goes over it.
pub(super) struct Sender {
    connection: Connection,
    #[cfg(feature = "scripts")]
    visits: Option<(Arc<Script>, Visitor)>,
}

impl Sender {
    /// `number` counts those of a thread from 0.
    pub(super) fn new(connections: &Connections, number: usize) -> Self {
        Self {
            connection: connections.make(number),
            #[cfg(feature = "scripts")]
            visits: connections
                .work
                .script()
                .map(|script| (Arc::clone(script), script.visitor())),
        }
    }

    /// Sends and records. Without `due` the model is closed: it is due when it is sent.
    pub(super) async fn once(&mut self, thread: &Thread, due: Option<&Due>) {
        #[cfg(feature = "scripts")]
        if let Some((script, visitor)) = &mut self.visits {
            return visit(&mut self.connection, script, visitor, thread, due).await;
        }
        let under_way = thread.under_way();
        let exchange = self.connection.send().await;
        drop(under_way);
        thread.record(&sample(&exchange, due));
    }
}

fn sample(exchange: &Exchange, due: Option<&Due>) -> Sample {
    let lag = due.map(|due| {
        let until = if due.has_waited {
            due.taken
        } else {
            exchange.sent
        };
        until.saturating_duration_since(due.intended)
    });
    Sample {
        intended: due.map_or(exchange.sent, |due| due.intended),
        lag,
        sent: exchange.sent,
        ended: exchange.ended,
        outcome: exchange.outcome,
    }
}

/// One visitor, and what it leaves behind.
#[cfg(feature = "scripts")]
async fn visit(
    connection: &mut Connection,
    script: &Script,
    visitor: &mut Visitor,
    thread: &Thread,
    due: Option<&Due>,
) {
    let is_good = take_steps(connection, script, visitor, thread, due).await;
    connection.visited(is_good).await;
}

/// Whether all were taken. Only the first was due by the clock; each other follows from the answer before it.
#[cfg(feature = "scripts")]
async fn take_steps(
    connection: &mut Connection,
    script: &Script,
    visitor: &mut Visitor,
    thread: &Thread,
    due: Option<&Due>,
) -> bool {
    for (place, step) in script.begin(visitor).iter().enumerate() {
        let is_first = place == 0;
        if !step.think.is_zero() && (!is_first || due.is_none()) {
            thread.think(step.think).await;
        }
        if !is_first && !thread.may_go_on() {
            return false;
        }
        let due = due.filter(|_| is_first);
        let sent = match step.request(visitor) {
            Ok(sent) => sent,
            Err(unmet) => {
                let now = Instant::now();
                let exchange = Exchange {
                    sent: now,
                    ended: now,
                    outcome: Err(unmet.kind),
                };
                thread.record_step(step.number, &sample(&exchange, due), Some(&unmet));
                return false;
            }
        };
        let under_way = if is_first {
            thread.under_way()
        } else {
            thread.follow_up()
        };
        let exchange = connection
            .send_step(&sent, is_first, &mut visitor.reply)
            .await;
        drop(under_way);
        let unmet = exchange.outcome.ok().and_then(|answer| {
            let took = exchange.ended - exchange.sent;
            step.judge(visitor, sent.path(), &answer, took).err()
        });
        thread.record_step(step.number, &sample(&exchange, due), unmet.as_ref());
        if unmet.is_some() || exchange.outcome.is_err() {
            return false;
        }
    }
    true
}
