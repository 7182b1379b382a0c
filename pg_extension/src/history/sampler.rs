//! The process that is always there: looks at the sessions each second, and sends a worker into one database after the other.
//!
//! It is connected to no database, and not there on a replica until that is promoted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::board::{BOARD, Outcome, Stage};
use super::sessions;
use crate::guc;
use crate::jobs::launcher::databases;
use crate::jobs::leave::is_evicted;
use crate::jobs::process::{self, Started};

/// Between two looks at the sessions.
const LOOK: Duration = Duration::from_secs(1);
/// After which a database without the extension is looked into again.
const FORGET_WITHOUT: Duration = Duration::from_secs(3_600);
/// Longest sleep while there is nothing to do.
const IDLE_MS: i64 = 60_000;

/// Registers the sampler with the postmaster.
pub(super) fn preload() {
    let mut worker = process::worker("pitcrew sampler", "pitcrew_sampler_main", 0);
    worker.bgw_restart_time = 5;
    // SAFETY: called in _PG_init of a preloaded library.
    unsafe { pg_sys::RegisterBackgroundWorker(&mut worker) };
}

struct Sampler {
    /// Databases of this round that were not visited yet.
    pending: VecDeque<pg_sys::Oid>,
    next_round: Instant,
    next_look: Instant,
    running: Option<(pg_sys::Oid, Started)>,
    /// Databases without the extension, and when that was seen.
    without: Vec<(pg_sys::Oid, Instant)>,
}

/// Entry point of the sampler.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pitcrew_sampler_main(_argument: pg_sys::Datum) {
    process::signals();
    // SAFETY: no database: shared catalogues alone.
    unsafe { pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0) };
    // SAFETY: set for every background worker with shared memory access.
    BOARD.exclusive().sampler_latch = unsafe { pg_sys::MyLatch } as usize;
    let now = Instant::now();
    let mut sampler = Sampler {
        pending: VecDeque::new(),
        next_round: now + interval(),
        next_look: now,
        running: None,
        without: Vec::new(),
    };
    loop {
        process::reload_if_asked();
        sampler.run();
        process::wait(sampler.sleep_ms());
    }
}

fn interval() -> Duration {
    Duration::from_secs(guc::HISTORY_INTERVAL_S.get().unsigned_abs().into())
}

impl Sampler {
    fn run(&mut self) {
        self.reap();
        if !guc::HISTORY.get() {
            self.pending.clear();
            self.next_round = Instant::now() + interval();
            return;
        }
        let now = Instant::now();
        if now >= self.next_look {
            sessions::look(|database| self.is_without(database));
            self.next_look = now + LOOK;
        }
        // A shorter interval counts at once.
        self.next_round = self.next_round.min(now + interval());
        if now >= self.next_round {
            self.next_round = now + interval();
            self.begin_round(now);
        }
        self.send();
    }

    fn begin_round(&mut self, now: Instant) {
        let there = databases();
        self.without
            .retain(|(_, seen)| now.duration_since(*seen) < FORGET_WITHOUT);
        let visited: Vec<_> = there
            .into_iter()
            .filter(|&database| !self.is_without(database))
            .collect();
        BOARD.exclusive().keep_only(&visited);
        self.pending = visited.into();
    }

    fn is_without(&self, database: pg_sys::Oid) -> bool {
        self.without.iter().any(|&(without, _)| without == database)
    }

    /// Reads how the worker ended.
    fn reap(&mut self) {
        let Some((database, _)) = self.running.take_if(|(_, handle)| handle.has_stopped()) else {
            return;
        };
        let mut board = BOARD.exclusive();
        // It may have come too late, or not at all: what it did not begin is done by the next one.
        board.advance(database, Stage::Begun, Stage::Failed, 0);
        if board.outcome == Outcome::NoExtension {
            drop(board);
            self.without.push((database, Instant::now()));
        }
    }

    /// Sends a worker: first to where somebody waits for it.
    fn send(&mut self) {
        if self.running.is_some() {
            return;
        }
        let asks = BOARD.share().asks;
        let asked = asks
            .iter()
            .filter(|ask| ask.stage == Stage::Asked)
            .map(|ask| ask.database);
        let wanted: Vec<_> = asked.chain(self.pending.iter().copied()).collect();
        let Some(database) = wanted.into_iter().find(|&database| !is_evicted(database)) else {
            return;
        };
        let name = format!("pitcrew history: database {}", database.to_u32());
        let number = u64::from(database.to_u32());
        let worker = process::worker(&name, "pitcrew_history_main", number);
        BOARD.exclusive().outcome = Outcome::Failed;
        // Where there is no room for a worker, at the next look.
        if let Some(handle) = process::start(worker) {
            self.pending.retain(|&pending| pending != database);
            self.running = Some((database, handle));
        }
    }

    fn sleep_ms(&self) -> i64 {
        if !guc::HISTORY.get() {
            return IDLE_MS;
        }
        let until_look = self.next_look.saturating_duration_since(Instant::now());
        i64::try_from(until_look.as_millis()).map_or(IDLE_MS, |ms| ms.clamp(1, IDLE_MS))
    }
}
