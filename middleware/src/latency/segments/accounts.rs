//! Where requests that ended leave their parts.
//!
//! A request leaves them in a stripe of its thread; whoever folds takes them from there. A stripe that is taken at that moment
//! is passed over for the next, so a request waits for nobody; where all are taken, it is dropped, and counted.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    account::Account,
    book::{Book, OVERFLOW, RouteKey},
    names::Names,
    timeline::Timeline,
};
#[cfg(feature = "statements")]
use crate::latency::statements::Statements;
use crate::{clock::Clock, latency::Window, shard::thread_index};

/// Stripes that threads are spread over.
const STRIPES: usize = 4;
/// Routes (with their method) whose parts are kept apart; what comes after is counted under `overflow`.
pub const MAX_SEGMENT_ROUTES: usize = 256;

type Stripe = HashMap<RouteKey, Account>;

/// The parts of all requests of one layer.
pub(crate) struct Accounts {
    clock: Clock,
    /// Executions in one request from which a statement counts as repeated.
    repeated_times: u32,
    pub(crate) names: Names,
    #[cfg(feature = "statements")]
    pub(crate) statements: Statements,
    stripes: [Mutex<Stripe>; STRIPES],
    book: Mutex<Book>,
    /// Requests whose parts were lost, because all stripes were taken.
    dropped: AtomicU64,
    /// Requests that were counted under `overflow`.
    overflowed: AtomicU64,
}

/// What one reading of a window found.
pub(crate) struct Read {
    pub(crate) rows: Vec<(RouteKey, Account)>,
    pub(crate) dropped: u64,
    pub(crate) overflowed: u64,
    pub(crate) forgotten: u64,
}

impl Accounts {
    pub(crate) fn new(clock: Clock, repeated_times: u32) -> Self {
        Self {
            clock,
            repeated_times,
            names: Names::default(),
            #[cfg(feature = "statements")]
            statements: Statements::default(),
            stripes: Default::default(),
            book: Mutex::default(),
            dropped: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        }
    }

    /// Nanoseconds of the layer's clock.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A request has ended, `took` nanoseconds after it began.
    pub(super) fn count(&self, key: RouteKey, timeline: &Timeline, took: u64) {
        let first = thread_index();
        for turn in 0..STRIPES {
            let stripe = match self.stripes[(first + turn) % STRIPES].try_lock() {
                Ok(stripe) => stripe,
                Err(std::sync::TryLockError::Poisoned(stripe)) => stripe.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => continue,
            };
            self.count_in(stripe, key, timeline, took);
            return;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn count_in(
        &self,
        mut stripe: MutexGuard<'_, Stripe>,
        key: RouteKey,
        timeline: &Timeline,
        took: u64,
    ) {
        if let Some(account) = stripe.get_mut(&key) {
            account.count(timeline, took, self.repeated_times);
            return;
        }
        // One place is kept for `overflow`.
        let key = if stripe.len() + 1 < MAX_SEGMENT_ROUTES {
            key
        } else {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            OVERFLOW
        };
        let account = stripe.entry(key).or_default();
        account.count(timeline, took, self.repeated_times);
    }

    /// Takes what requests have left. Called each second, and by who reads.
    pub(crate) fn fold(&self) {
        self.fold_into(&mut lock(&self.book));
    }

    fn fold_into(&self, book: &mut Book) {
        let now = self.clock.now();
        for stripe in &self.stripes {
            let mut stripe = lock(stripe);
            let ended = stripe
                .iter_mut()
                .filter(|(_, account)| account.requests > 0);
            for (key, account) in ended {
                let key = if book.has_room(key) {
                    *key
                } else {
                    self.overflowed
                        .fetch_add(account.requests, Ordering::Relaxed);
                    OVERFLOW
                };
                book.add(key, account, now);
                account.clear();
            }
        }
        book.keep_bound();
    }

    /// The accounts of a window, as they are at this moment.
    pub(crate) fn read(&self, window: Window) -> Read {
        let mut book = lock(&self.book);
        self.fold_into(&mut book);
        Read {
            rows: book.read(window, self.clock.now()),
            dropped: self.dropped.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            forgotten: book.forgotten(),
        }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

/// A panic while it is held leaves at worst sums that lack something.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
