//! That a connection is there: counted when it is made and when it is dropped.

use std::rc::Rc;
use std::time::Instant;

use super::thread::Thread;

pub(super) struct Presence {
    pub(super) thread: Rc<Thread>,
    since: Instant,
    is_lost: bool,
}

impl Presence {
    pub(super) fn new(thread: &Rc<Thread>) -> Self {
        thread.count(|details| details.connected += 1);
        Self {
            thread: Rc::clone(thread),
            since: Instant::now(),
            is_lost: false,
        }
    }

    /// It ends, and nobody here wanted that.
    pub(super) fn lost(&mut self) {
        self.is_lost = true;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let after = self.since.elapsed();
        self.thread
            .count(|details| details.ended(after, self.is_lost));
    }
}
