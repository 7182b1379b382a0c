//! What one thread of a run has at hand, and what it hands in.

use std::cell::{Cell, RefCell, RefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::run::Shared;
use crate::details::Details;
use crate::plan::Load;
use crate::record::{Recorder, Sample};

/// How often a thread hands in what it recorded.
const HAND_IN_EVERY: Duration = Duration::from_millis(100);

/// A read of a connection takes at most so many bytes.
const READ_BYTES: usize = 64 * 1_024;

/// Hands in the rest when it is dropped, also by a panic, so that a run always ends.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) load: Arc<Load>,
    recorder: RefCell<Recorder>,
    under_way: Cell<u64>,
    buffer: RefCell<Box<[u8]>>,
}

/// A request that was sent and not answered yet.
pub(super) struct UnderWay<'a>(&'a Cell<u64>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Thread {
    pub(super) fn new(shared: Arc<Shared>, load: Arc<Load>) -> Self {
        Self {
            shared,
            load,
            recorder: RefCell::new(Recorder::new()),
            under_way: Cell::new(0),
            buffer: RefCell::new(vec![0; READ_BYTES].into()),
        }
    }

    /// Whether one more request of a closed model may be sent; who asks sends it.
    pub(super) fn may_send(&self) -> bool {
        let shared = &self.shared;
        Instant::now() < shared.begin + self.load.duration
            && !shared.cancel.is_cancelled()
            && shared.claim(self.load.requests)
    }

    /// What the thread's connections read into, one at a time: each has looked at it before another is asked.
    pub(super) fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow_mut()
    }

    pub(super) fn under_way(&self) -> UnderWay<'_> {
        self.under_way.set(self.under_way.get() + 1);
        UnderWay(&self.under_way)
    }

    pub(super) fn record(&self, sample: &Sample) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.record(sample, self.load.arrivals.is_some());
    }

    /// Counts what is no request.
    pub(super) fn count(&self, count: impl FnOnce(&mut Details)) {
        count(&mut self.recorder.borrow_mut().details);
    }

    #[cfg(feature = "postgres")]
    pub(super) fn count_sql_state(&self, code: Option<&tokio_postgres::error::SqlState>) {
        if let Some(code) = code {
            self.count(|details| details.sql_state(code.code()));
        }
    }

    /// Hands in ten times a second, for ever.
    pub(super) async fn hand_in(&self) {
        loop {
            tokio::time::sleep(HAND_IN_EVERY).await;
            let mut recorder = self.recorder.borrow_mut();
            self.shared.take(&recorder);
            recorder.clear();
        }
    }

    /// What was sent and is given up now: its fate is unknown.
    pub(super) fn give_up(&self) {
        self.shared.unfinished(self.under_way.get());
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.thread_ended(&self.recorder.borrow(), cpu());
    }
}

/// CPU time of the calling thread so far.
pub(super) fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: fills the struct; an error leaves it at nothing.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
