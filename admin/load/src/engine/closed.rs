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
        let place = number / connections.work.streams();
        let sender = Sender::new(connections, number);
        workers.spawn_local(worker(Rc::clone(thread), sender, place));
    }
    while workers.join_next().await.is_some() {}
}

/// `place`: of its connection among those of the thread.
async fn worker(thread: Rc<Thread>, mut sender: Sender, place: usize) {
    loop {
        thread.turn(place).await;
        if !thread.may_send() {
            return;
        }
        sender.once(&thread, None).await;
    }
}
