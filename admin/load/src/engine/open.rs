//! The open model: requests go out when they are due, whether or not earlier ones were answered.
//!
//! Each thread takes arrivals from the pacing thread and gives each to a connection that is free, opens one more where none
//! is, and lets it wait only where the plan's connections are all taken. That wait is the target's doing and counts in the
//! response; what the thread itself was late counts as lag.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::connection::{Connection, Connections};
use super::pace::MAX_BACKLOG;
use super::thread::Thread;
use crate::record::Sample;

/// An arrival that waits for a connection.
struct Due {
    intended: Instant,
    /// When this thread took it up.
    taken: Instant,
    /// Whether no connection was free then.
    has_waited: bool,
}

#[derive(Default)]
struct Pool {
    due: RefCell<VecDeque<Due>>,
    idle: Cell<usize>,
    wake: Notify,
    /// No arrival comes any more.
    is_over: Cell<bool>,
}

/// Sends what the pacing thread hands over, on at most so many connections, and waits for the answers.
pub(super) async fn run(
    connections: &Connections,
    count: usize,
    mut arrivals: mpsc::Receiver<Instant>,
) {
    let thread = &connections.thread;
    let pool = Rc::new(Pool::default());
    let mut workers = JoinSet::new();
    while let Some(intended) = arrivals.recv().await {
        let taken = Instant::now();
        let idle = pool.idle.get();
        let mut due = pool.due.borrow_mut();
        // It is missed then, as all that is due and never sent.
        if due.len() >= MAX_BACKLOG {
            continue;
        }
        due.push_back(Due {
            intended,
            taken,
            has_waited: idle == 0,
        });
        drop(due);
        if idle > 0 {
            pool.idle.set(idle - 1);
            pool.wake.notify_one();
        } else if workers.len() < count {
            let connection = connections.make(workers.len());
            workers.spawn_local(worker(Rc::clone(thread), Rc::clone(&pool), connection));
        }
    }
    pool.is_over.set(true);
    pool.wake.notify_waiters();
    let last = Instant::now();
    let drained = async { while workers.join_next().await.is_some() {} };
    // What is still due when the last of them would have timed out is not sent any more.
    let _ = tokio::time::timeout_at((last + thread.load.timeout * 2).into(), drained).await;
}

async fn worker(thread: Rc<Thread>, pool: Rc<Pool>, mut connection: Connection) {
    loop {
        let next = pool.due.borrow_mut().pop_front();
        let Some(due) = next else {
            if pool.is_over.get() {
                return;
            }
            pool.idle.set(pool.idle.get() + 1);
            pool.wake.notified().await;
            continue;
        };
        let under_way = thread.under_way();
        let exchange = connection.send().await;
        drop(under_way);
        let until = if due.has_waited {
            due.taken
        } else {
            exchange.sent
        };
        thread.record(&Sample {
            intended: due.intended,
            lag: until.saturating_duration_since(due.intended),
            sent: exchange.sent,
            ended: exchange.ended,
            outcome: exchange.outcome,
        });
    }
}
