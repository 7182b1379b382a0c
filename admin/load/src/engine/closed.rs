//! The closed model: each connection sends its next request when its last answer has ended.

use std::time::{Duration, Instant};

use super::http1::Connection;
use super::thread::Thread;
use crate::record::Sample;

/// Sends until the plan's end on so many connections.
pub(super) async fn run(thread: &Thread<'_>, connections: usize) {
    let workers = (0..connections).map(|_| worker(thread));
    futures_util::future::join_all(workers).await;
}

async fn worker(thread: &Thread<'_>) {
    let shared = thread.shared;
    let end = shared.begin + thread.plan.duration;
    let mut connection = Connection::new(thread.plan, thread.target, &shared.id);
    while Instant::now() < end && !shared.cancel.is_cancelled() && shared.claim(thread.plan) {
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
