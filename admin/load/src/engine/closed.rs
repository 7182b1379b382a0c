//! The closed model: each connection sends its next request when its last answer has ended.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::http1::Connection;
use super::thread::Thread;
use crate::record::Sample;

/// Sends until the plan's end on so many connections.
pub(super) async fn run(thread: &Rc<Thread>, connections: usize) {
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn_local(worker(Rc::clone(thread)));
    }
    while workers.join_next().await.is_some() {}
}

async fn worker(thread: Rc<Thread>) {
    let shared = &thread.shared;
    let end = shared.begin + thread.plan.duration;
    let mut connection = Connection::new(Rc::clone(&thread));
    while Instant::now() < end && !shared.cancel.is_cancelled() && shared.claim(&thread.plan) {
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
