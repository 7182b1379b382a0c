//! What one thread of a run has at hand, and what it hands in.

use std::cell::{Cell, RefCell, RefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::share_of;
use super::shared::Shared;
use crate::details::Details;
use crate::plan::CheckedLoad;
use crate::record::{Recorder, Sample};

/// How often a thread hands in what it recorded.
const HAND_IN_EVERY: Duration = Duration::from_millis(100);

/// So exactly users come and go when they are due.
const CHANGE_USERS_EVERY: Duration = Duration::from_millis(10);

/// A read of a connection takes at most so many bytes.
const READ_BYTES: usize = 64 * 1_024;

/// Hands in the rest when it is dropped, also by a panic, so that a run always ends.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) load: Arc<CheckedLoad>,
    recorder: RefCell<Recorder>,
    under_way: Cell<u64>,
    #[cfg(feature = "scripts")]
    follow_ups: Cell<u64>,
    /// Which of the run's threads it is.
    index: usize,
    /// How many of its connections send, of a closed model.
    users: Cell<usize>,
    buffer: RefCell<Box<[u8]>>,
    /// What was told of requests under way, and the CPU time that was.
    told: Cell<(u64, Duration)>,
}

/// A request that was sent and not answered yet.
pub(super) struct UnderWay<'a>(&'a Cell<u64>);

impl<'a> UnderWay<'a> {
    fn new(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Thread {
    pub(super) fn new(shared: Arc<Shared>, load: Arc<CheckedLoad>, index: usize) -> Self {
        let users = *shared.users.borrow();
        Self {
            index,
            users: Cell::new(share_of(users as usize, shared.all_threads, index)),
            shared,
            load,
            recorder: RefCell::new(Recorder::new()),
            under_way: Cell::new(0),
            #[cfg(feature = "scripts")]
            follow_ups: Cell::new(0),
            buffer: RefCell::new(vec![0; READ_BYTES].into()),
            told: Cell::default(),
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

    /// Lets a connection, counted from 0, send only while the run has users for it. Who asked for others is heard with the next
    /// hand-in at the latest.
    pub(super) async fn turn(&self, number: usize) {
        if number < self.users.get() {
            return;
        }
        let mut users = self.shared.users.subscribe();
        let wanted = users.wait_for(|users| {
            self.users.set(share_of(
                *users as usize,
                self.shared.all_threads,
                self.index,
            ));
            number < self.users.get()
        });
        let end = self.shared.begin + self.load.duration;
        tokio::select! {
            _ = wanted => {}
            () = tokio::time::sleep_until(end.into()) => {}
            () = self.shared.all_claimed.cancelled() => {}
            () = self.shared.cancel.cancelled() => {}
        }
    }

    /// The plan's one request, or a visit's first.
    pub(super) fn under_way(&self) -> UnderWay<'_> {
        UnderWay::new(&self.under_way)
    }

    /// A visit's request after the first.
    #[cfg(feature = "scripts")]
    pub(super) fn follow_up(&self) -> UnderWay<'_> {
        UnderWay::new(&self.follow_ups)
    }

    /// Whether a visit goes on: in a closed model not past the plan's end.
    #[cfg(feature = "scripts")]
    pub(super) fn may_go_on(&self) -> bool {
        let is_open = self.load.arrivals.is_some();
        !self.shared.cancel.is_cancelled()
            && (is_open || Instant::now() < self.shared.begin + self.load.duration)
    }

    /// Waits so long, or until the visit does not go on.
    #[cfg(feature = "scripts")]
    pub(super) async fn think(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let until = match self.load.arrivals {
            Some(_) => until,
            None => until.min(self.shared.begin + self.load.duration),
        };
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.shared.cancel.cancelled() => {}
        }
    }

    /// Records a request of a visit; `unmet` is what its answer did not pass.
    #[cfg(feature = "scripts")]
    pub(super) fn record_step(
        &self,
        step: usize,
        sample: &Sample,
        unmet: Option<&crate::script::Unmet>,
    ) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.record_step(step, sample, unmet, self.load.arrivals.is_some());
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
            self.tell(self.all_under_way());
            let mut recorder = self.recorder.borrow_mut();
            self.shared.take(&recorder);
            recorder.clear();
            drop(recorder);
            let users = *self.shared.users.borrow();
            self.users.set(share_of(
                users as usize,
                self.shared.all_threads,
                self.index,
            ));
        }
    }

    /// Lets as many of a closed model's connections send as its plan says, for ever. One thread of the run does that for all.
    pub(super) async fn change_users(&self) {
        let Some(users) = self.load.users.as_ref().filter(|_| self.index == 0) else {
            return std::future::pending().await;
        };
        loop {
            let at_s = self.shared.begin.elapsed().as_secs_f64();
            if self.shared.are_users_asked.load(Relaxed) {
                break;
            }
            self.shared.users.send_if_modified(|now| {
                let before = std::mem::replace(now, users.at(at_s));
                before != *now
            });
            if users.is_over(at_s) {
                break;
            }
            tokio::time::sleep(CHANGE_USERS_EVERY).await;
        }
        std::future::pending().await
    }

    fn all_under_way(&self) -> u64 {
        let all = self.under_way.get();
        #[cfg(feature = "scripts")]
        let all = all + self.follow_ups.get();
        all
    }

    /// Tells how many requests are under way now, and counts its CPU time; the first thread also that of the pacing thread.
    fn tell(&self, under_way: u64) {
        let (before, counted) = self.told.get();
        let cpu = cpu();
        self.told.set((under_way, cpu));
        self.shared.in_flight(before, under_way);
        let paced = if self.index == 0 {
            self.shared.paced.cpu()
        } else {
            Duration::ZERO
        };
        self.recorder.borrow_mut().cpu += cpu.saturating_sub(counted) + paced;
    }

    /// What was sent and is given up now: its fate is unknown.
    pub(super) fn give_up(&self) {
        self.shared.unfinished(self.under_way.get());
        #[cfg(feature = "scripts")]
        self.shared.unfinished_follow_ups(self.follow_ups.get());
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.tell(0);
        self.shared.thread_ended(&self.recorder.borrow());
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
