//! What one thread of a run has at hand, and what it hands in.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Work;
use super::run::Shared;
use crate::details::Details;
use crate::plan::Load;
use crate::record::{Recorder, Sample};

/// How often a thread hands in what it recorded.
const HAND_IN_EVERY: Duration = Duration::from_millis(100);

/// Hands in the rest when it is dropped, also by a panic, so that a run always ends.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) load: Arc<Load>,
    pub(super) work: Work,
    recorder: RefCell<Recorder>,
    under_way: Cell<u64>,
    /// HTTP/2 connections, as far as they are needed. Who sends on them holds them: they know this thread.
    #[cfg(feature = "http2")]
    connections: RefCell<Vec<std::rc::Weak<super::http2::Shared>>>,
}

/// A request that was sent and not answered yet.
pub(super) struct UnderWay<'a>(&'a Cell<u64>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Thread {
    pub(super) fn new(shared: Arc<Shared>, load: Arc<Load>, work: Work) -> Self {
        Self {
            shared,
            load,
            work,
            recorder: RefCell::new(Recorder::new()),
            under_way: Cell::new(0),
            #[cfg(feature = "http2")]
            connections: RefCell::default(),
        }
    }

    /// Whether one more request of a closed model may be sent; who asks sends it.
    pub(super) fn may_send(&self) -> bool {
        let shared = &self.shared;
        Instant::now() < shared.begin + self.load.duration
            && !shared.cancel.is_cancelled()
            && shared.claim(self.load.requests)
    }

    /// One of the connections that several requests share.
    #[cfg(feature = "http2")]
    pub(super) fn shared_connection(&self, number: usize) -> std::rc::Rc<super::http2::Shared> {
        let mut connections = self.connections.borrow_mut();
        if connections.len() <= number {
            connections.resize_with(number + 1, Default::default);
        }
        connections[number].upgrade().unwrap_or_else(|| {
            let shared = std::rc::Rc::default();
            connections[number] = std::rc::Rc::downgrade(&shared);
            shared
        })
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
