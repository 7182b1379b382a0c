//! Connections that are held without a message.

use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::super::exchange::pause_after_refusal;
use super::super::thread::Thread;
use super::live::{Live, Work};

/// Makes so many connections, one after the other so that the target's backlog is not flooded, and holds them; for ever.
pub(in super::super) async fn hold(thread: &Rc<Thread>, work: &Arc<Work>, count: usize) {
    let mut held = JoinSet::new();
    for _ in 0..count {
        let live = connected(thread, work).await;
        held.spawn_local(hold_one(Rc::clone(thread), Arc::clone(work), live));
    }
    std::future::pending::<()>().await;
}

/// A connection that is lost is made anew.
async fn hold_one(thread: Rc<Thread>, work: Arc<Work>, mut live: Live) {
    loop {
        live.listen().await;
        live.lost();
        live = connected(&thread, &work).await;
    }
}

async fn connected(thread: &Rc<Thread>, work: &Work) -> Live {
    loop {
        match Live::connect(thread, work).await {
            Ok(live) => return live,
            Err(_) => pause_after_refusal().await,
        }
    }
}
