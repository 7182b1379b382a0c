//! The closed model: each connection sends its next request when its last answer has ended.

use std::rc::Rc;
#[cfg(feature = "postgres")]
use std::sync::Arc;

use tokio::task::JoinSet;

use super::connection::Connections;
use super::sender::Sender;
use super::thread::Thread;
#[cfg(feature = "postgres")]
use super::{connection::Work, postgres};

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
        workers.spawn_local(worker(Rc::clone(thread), Sender::new(connections, number)));
    }
    while workers.join_next().await.is_some() {}
}

async fn worker(thread: Rc<Thread>, mut sender: Sender) {
    while thread.may_send() {
        sender.once(&thread, None).await;
    }
}
