//! The closed model: each connection sends its next request when its last answer has ended.

use std::rc::Rc;
#[cfg(feature = "postgres")]
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::connection::{Connection, Connections};
use super::thread::Thread;
#[cfg(feature = "postgres")]
use super::{connection::Work, postgres};
use crate::record::Sample;

/// Sends until the plan's end on so many connections.
pub(super) async fn run(connections: &Connections, count: usize) {
    let thread = &connections.thread;
    let mut workers = JoinSet::new();
    for number in 0..count {
        #[cfg(feature = "postgres")]
        if let Work::Postgres(work) = &connections.work
            && let Some(depth) = work.plan.depth
        {
            let (thread, work) = (Rc::clone(thread), Arc::clone(work));
            workers.spawn_local(postgres::pipelined(thread, work, depth));
            continue;
        }
        workers.spawn_local(worker(Rc::clone(thread), connections.make(number)));
    }
    while workers.join_next().await.is_some() {}
}

async fn worker(thread: Rc<Thread>, mut connection: Connection) {
    while thread.may_send() {
        let under_way = thread.under_way();
        let exchange = connection.send().await;
        drop(under_way);
        thread.record(&Sample {
            intended: exchange.sent,
            lag: Duration::ZERO,
            sent: exchange.sent,
            ended: exchange.ended,
            outcome: exchange.outcome,
        });
    }
}
