//! One process a database, while it has unfinished jobs: the only writer of `pitcrew.jobs`.
//!
//! It may be ended at any moment and is started again: everything it needs is in the table and on the board.
//! `dispatch` starts workers, `watch` follows them, `reap` writes down how they ended.

use pgrx::prelude::*;

use super::board::{BOARD, Coordinator, MAX_SLOTS, Outcome, Phase, Slot, SlotState};
use super::process::{self, Started};
use super::{leave, ledger, wake};
use crate::schedule::{self, dues};

/// Longest sleep while jobs are unfinished; workers and submitters set the latch.
const POLL_MS: i64 = 1_000;

/// With a schedule that is due sooner it stays: to come back would cost more.
const STAY_MS: i64 = 2_000;

/// The database of this process. The exit callback reads it.
static mut DATABASE: pg_sys::Oid = pg_sys::InvalidOid;

/// Entry point of a coordinator; the argument is the database's OID.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pitcrew_coordinator_main(argument: pg_sys::Datum) {
    let database = pg_sys::Oid::from(argument.value() as u32);
    // SAFETY: start of a background worker, signals are still blocked.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0)) };
    process::signals();
    if !claim(database) {
        return;
    }
    // SAFETY: no role means the bootstrap superuser; REVOKE CONNECT and datallowconn are respected.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    process::set(c"search_path", "pg_catalog, pg_temp");
    process::set(c"default_transaction_read_only", "off");
    process::set(c"default_transaction_isolation", "read committed");
    // What it wrote about an index has to be on disk before that index is.
    process::set(c"synchronous_commit", "local");
    // Its own book-keeping is no workload.
    process::set(c"compute_query_id", "off");
    Run {
        database,
        handles: [const { None }; MAX_SLOTS],
        noted: [const { None }; MAX_SLOTS],
        watched: [const { None }; MAX_SLOTS],
    }
    .until_idle();
}

/// When it looks at schedules again that it could not look at.
fn soon() -> Option<pg_sys::TimestampTz> {
    // SAFETY: a plain read of the clock, in microseconds.
    Some(unsafe { pg_sys::GetCurrentTimestamp() } + POLL_MS * 1_000)
}

/// Takes the place of this database's coordinator. `false` when it is taken, when the database has to be left alone,
/// or when there is no place.
fn claim(database: pg_sys::Oid) -> bool {
    let mut board = BOARD.exclusive();
    if board.is_evicted(database) || board.poke(database) {
        return false;
    }
    let Some(entry) = board.coordinators.iter_mut().find(|c| c.pid == 0) else {
        drop(board);
        wake::want(database);
        return false;
    };
    // SAFETY: set for every background worker with shared memory access.
    let (pid, latch) = unsafe { (pg_sys::MyProcPid, pg_sys::MyLatch as usize) };
    *entry = Coordinator {
        database,
        pid,
        latch,
        pokes: 0,
    };
    // SAFETY: this process's own static.
    unsafe { DATABASE = database };
    drop(board);
    wake::wake_launcher();
    true
}

/// Gives the place back, in whatever way the process ends; wants a successor when it did not leave by itself.
#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: this process's own static.
    let database = unsafe { DATABASE };
    if database == pg_sys::InvalidOid {
        return;
    }
    if let Some(entry) = BOARD.exclusive().coordinator(database) {
        *entry = Coordinator::default();
    }
    wake::want(database);
}

/// What was last written to the table of a slot: job, index, touched indexes, step, and whether it was measured.
pub(super) type Noted = (i64, u32, usize, u16, bool);

/// The state of one coordinator.
pub(super) struct Run {
    pub(super) database: pg_sys::Oid,
    pub(super) handles: [Option<Started>; MAX_SLOTS],
    /// Per slot, as last written to the table.
    pub(super) noted: [Option<Noted>; MAX_SLOTS],
    /// Per slot: job, whether it waits for a lock, and its progress, as last written to the table.
    pub(super) watched: [Option<(i64, bool, String)>; MAX_SLOTS],
}

impl Run {
    fn until_idle(mut self) {
        self.adopt();
        let mut is_tidy = false;
        loop {
            process::reload_if_asked();
            let seen = BOARD
                .exclusive()
                .coordinator(self.database)
                .map_or(0, |c| c.pokes);
            if !process::transaction(c"pitcrew: checking the extension", ledger::is_installed) {
                dues::set(self.database, None);
                self.stop_workers();
                leave::forget(self.database);
                if self.left(seen) {
                    return;
                }
                process::wait(POLL_MS);
                continue;
            }
            if !is_tidy {
                let forgot =
                    process::bounded(c"pitcrew: forgetting old jobs", ledger::forget_oldest);
                is_tidy = forgot.is_some();
            }
            self.take_back_what_never_started();
            process::bounded(c"pitcrew: looking for jobs that are not to run", || {
                ledger::mark_orphans();
                ledger::fail_surplus();
            });
            process::bounded(c"pitcrew: looking for cancel requests", || {
                self.cancel(&ledger::take_cancel_requests());
            });
            process::bounded(c"pitcrew: looking for windows that closed", || {
                self.cancel(&ledger::past_their_window());
            });
            let due = process::bounded(
                c"pitcrew: looking for schedules that are due",
                schedule::take_turns,
            );
            // What could not be looked at is looked at again.
            let due = due.unwrap_or_else(soon);
            dues::set(self.database, due);
            self.reap();
            self.find_lost();
            self.watch();
            let is_waiting = self.start_queued();
            let until_due = dues::until(due);
            if !is_waiting && until_due > STAY_MS && self.left(seen) {
                return;
            }
            process::wait(POLL_MS.min(until_due));
        }
    }

    /// Jobs of this database on the board.
    pub(super) fn slots(&self) -> Vec<(usize, Slot)> {
        let board = BOARD.share();
        let mine = |(_, slot): &(usize, &Slot)| {
            slot.database == self.database && slot.state != SlotState::Free
        };
        board
            .slots
            .iter()
            .enumerate()
            .filter(mine)
            .map(|(number, slot)| (number, *slot))
            .collect()
    }

    pub(super) fn change(&self, number: usize, change: impl FnOnce(&mut Slot)) {
        change(&mut BOARD.exclusive().slots[number]);
    }

    /// After a restart of this process: workers that live go on. One that was asked for and has not come up is taken
    /// back; should it come after all, its nonce is out of date.
    fn adopt(&mut self) {
        let mut board = BOARD.exclusive();
        for slot in board
            .slots
            .iter_mut()
            .filter(|s| s.database == self.database && s.state == SlotState::Assigned)
        {
            slot.state = SlotState::Finished;
            slot.evicted = true;
        }
    }

    /// DROP EXTENSION takes the jobs along; nobody would hear how they end.
    fn stop_workers(&self) {
        let board = BOARD.exclusive();
        for slot in board
            .slots
            .iter()
            .filter(|s| s.database == self.database && s.state == SlotState::Running)
        {
            process::signal(slot.pid, libc::SIGTERM);
        }
    }

    fn cancel(&self, jobs: &[i64]) {
        for &job in jobs {
            let mut board = BOARD.exclusive();
            let database = self.database;
            let slot = board
                .slots
                .iter_mut()
                .find(|s| s.database == database && s.job == job && s.state != SlotState::Free);
            let Some(slot) = slot else {
                drop(board);
                ledger::cancel_queued(job);
                continue;
            };
            // Also when its clean-up runs, which nobody wants to stop: what follows is not another attempt.
            slot.cancel = true;
            if slot.phase == Phase::Cleanup {
                continue;
            }
            match slot.state {
                SlotState::Running => process::signal(slot.pid, libc::SIGINT),
                SlotState::Assigned => {
                    slot.state = SlotState::Finished;
                    slot.report.outcome = Outcome::Failed;
                    slot.report.sqlstate.set("57014");
                    slot.report.message.set("cancelled before it started");
                }
                SlotState::Free | SlotState::Finished => {}
            }
        }
    }

    /// Leaves when nothing is on the board for this database and nobody asked for another look since `seen`.
    fn left(&self, seen: u32) -> bool {
        let mut board = BOARD.exclusive();
        let has_slots = board
            .slots
            .iter()
            .any(|s| s.database == self.database && s.state != SlotState::Free);
        let Some(entry) = board.coordinator(self.database) else {
            return true;
        };
        if has_slots || entry.pokes != seen {
            return false;
        }
        *entry = Coordinator::default();
        // SAFETY: this process's own static; the exit callback has nothing left to do.
        unsafe { DATABASE = pg_sys::InvalidOid };
        true
    }
}
