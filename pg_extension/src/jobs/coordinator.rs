//! One process a database, while it has unfinished jobs: the only writer of `pitcrew.jobs`.
//!
//! It may be ended at any moment and is started again: everything it needs is in the table and on the board.

use pgrx::prelude::*;

use super::board::{
    BOARD, Board, Coordinator, MAX_OPTIONS_BYTES, MAX_SLOTS, Outcome, Phase, Report, Slot,
    SlotState,
};
use super::process::{self, Started};
use super::{leave, ledger, wake, worker};
use crate::guc;

/// Longest sleep while jobs are unfinished; workers and submitters set the latch.
const POLL_MS: i64 = 1_000;

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
    // Its own book-keeping is no workload.
    process::set(c"compute_query_id", "off");
    Run {
        database,
        handles: [const { None }; MAX_SLOTS],
        noted: [(0, 0, false); MAX_SLOTS],
    }
    .until_idle();
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

struct Run {
    database: pg_sys::Oid,
    handles: [Option<Started>; MAX_SLOTS],
    /// Per slot: job, index and whether the command is known, as last written to the table.
    noted: [(i64, u32, bool); MAX_SLOTS],
}

impl Run {
    fn until_idle(mut self) {
        self.adopt();
        loop {
            process::reload_if_asked();
            let seen = BOARD
                .exclusive()
                .coordinator(self.database)
                .map_or(0, |c| c.pokes);
            if !process::transaction(c"pitcrew: checking the extension", ledger::is_installed) {
                leave::forget(self.database);
                if self.left(seen) {
                    return;
                }
                process::wait(POLL_MS);
                continue;
            }
            self.requeue_what_never_started();
            process::transaction(c"pitcrew: cancel requests", || {
                ledger::mark_orphans();
                self.cancel(&ledger::take_cancel_requests());
            });
            self.reap();
            self.find_lost();
            process::transaction(c"pitcrew: progress", || self.note_progress());
            let is_waiting = self.start_queued();
            if !is_waiting && self.left(seen) {
                return;
            }
            process::wait(POLL_MS);
        }
    }

    /// Jobs of this database on the board.
    fn slots(&self) -> Vec<(usize, Slot)> {
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

    fn change(&self, number: usize, change: impl FnOnce(&mut Slot)) {
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

    fn requeue_what_never_started(&mut self) {
        for number in 0..MAX_SLOTS {
            let has_stopped = self.handles[number]
                .as_ref()
                .is_some_and(Started::has_stopped);
            if has_stopped {
                self.handles[number] = None;
                let mut board = BOARD.exclusive();
                let slot = &mut board.slots[number];
                if slot.database == self.database && slot.state == SlotState::Assigned {
                    slot.state = SlotState::Finished;
                    slot.evicted = true;
                }
            }
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
            // The clean-up of a failed build is not what somebody wants to stop.
            if slot.phase == Phase::Cleanup {
                continue;
            }
            slot.cancel = true;
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

    /// Writes down the jobs whose worker ended; a failed index build gets its clean-up first.
    fn reap(&mut self) {
        for (number, slot) in self.slots() {
            if slot.state != SlotState::Finished {
                continue;
            }
            self.handles[number] = None;
            let report = match slot.phase {
                Phase::Run => {
                    let report = outcome(&slot);
                    if report.outcome != Outcome::Done && slot.index != pg_sys::InvalidOid {
                        self.clean_up(number, report);
                        continue;
                    }
                    report
                }
                Phase::Cleanup if slot.evicted && slot.report.outcome != Outcome::Done => {
                    self.clean_up(number, slot.first);
                    continue;
                }
                Phase::Cleanup => after_clean_up(&slot),
            };
            process::transaction(c"pitcrew: writing a result", || {
                if slot.phase == Phase::Run {
                    ledger::note_progress(&slot);
                }
                ledger::finish(slot.job, &report);
            });
            self.change(number, |slot| *slot = Slot::default());
            self.noted[number] = (0, 0, false);
        }
    }

    fn clean_up(&mut self, number: usize, first: Report) {
        let mut assigned = Slot::default();
        let mut board = BOARD.exclusive();
        board.nonce = board.nonce.wrapping_add(1);
        let nonce = board.nonce;
        let slot = &mut board.slots[number];
        slot.first = first;
        slot.phase = Phase::Cleanup;
        slot.state = SlotState::Assigned;
        slot.nonce = nonce;
        slot.evicted = false;
        slot.report = Report::default();
        assigned.clone_from(slot);
        drop(board);
        self.start_worker(number, &assigned);
    }

    /// Rows that say running and have no worker: the server went down in the middle.
    fn find_lost(&mut self) {
        let running = process::transaction(c"pitcrew: looking for lost jobs", || {
            ledger::in_state("running")
        });
        for job in running {
            if self.slots().iter().any(|(_, slot)| slot.job == job.id) {
                continue;
            }
            let mut report = Report {
                outcome: Outcome::Lost,
                ..Report::default()
            };
            report
                .message
                .set("the server or the worker went down while the job ran");
            if job.index == pg_sys::InvalidOid {
                process::transaction(c"pitcrew: writing a result", || {
                    ledger::finish(job.id, &report)
                });
            } else if let Some(number) = self.reserve(&job) {
                self.change(number, |slot| slot.index = job.index);
                self.clean_up(number, report);
            }
        }
    }

    fn note_progress(&mut self) {
        for (number, slot) in self.slots() {
            let now = (slot.job, slot.index.to_u32(), !slot.command.is_empty());
            if slot.phase == Phase::Run
                && slot.state == SlotState::Running
                && self.noted[number] != now
            {
                ledger::note_progress(&slot);
                self.noted[number] = now;
            }
        }
    }

    /// Starts what may start; `true` when a job stays queued.
    fn start_queued(&mut self) -> bool {
        let queued =
            process::transaction(c"pitcrew: reading the queue", || ledger::in_state("queued"));
        let mut is_waiting = false;
        for job in queued {
            let busy = self.slots();
            // Two jobs on one table would only wait for each other's locks.
            let is_taken = busy.iter().any(|(_, slot)| slot.target == job.target);
            if busy.len() >= guc::MAX_PARALLEL_JOBS.get() as usize || is_taken {
                is_waiting = true;
                continue;
            }
            if job.options.len() > MAX_OPTIONS_BYTES {
                let mut report = Report {
                    outcome: Outcome::Failed,
                    ..Report::default()
                };
                report.sqlstate.set("22023");
                report.message.set("job options are too long");
                process::transaction(c"pitcrew: writing a result", || {
                    ledger::finish(job.id, &report)
                });
                continue;
            }
            let Some(number) = self.reserve(&job) else {
                is_waiting = true;
                break;
            };
            process::transaction(c"pitcrew: starting a job", || ledger::mark_running(job.id));
            let slot = BOARD.share().slots[number];
            if !self.start_worker(number, &slot) {
                is_waiting = true;
                break;
            }
        }
        is_waiting
    }

    fn reserve(&self, job: &ledger::Queued) -> Option<usize> {
        let mut board = BOARD.exclusive();
        if board.is_evicted(self.database) {
            return None;
        }
        let number = board
            .slots
            .iter()
            .position(|slot| slot.state == SlotState::Free)?;
        board.nonce = board.nonce.wrapping_add(1);
        let Board { nonce, slots, .. } = &mut *board;
        let slot = &mut slots[number];
        *slot = Slot {
            state: SlotState::Assigned,
            nonce: *nonce,
            database: self.database,
            job: job.id,
            role: job.submitter,
            target: job.target,
            ..Slot::default()
        };
        slot.kind.set(&job.kind);
        slot.options.set(&job.options);
        Some(number)
    }

    /// Starts the worker of an assigned slot. When the server has no room the slot goes back the way of a worker that
    /// never came up.
    fn start_worker(&mut self, number: usize, slot: &Slot) -> bool {
        let argument = worker::argument(number, slot.nonce);
        self.handles[number] = process::start(process::worker(
            &worker::name(slot.job),
            "pitcrew_worker_main",
            argument,
        ));
        if self.handles[number].is_some() {
            return true;
        }
        self.change(number, |slot| {
            if slot.state == SlotState::Assigned {
                slot.state = SlotState::Finished;
                slot.evicted = true;
            }
        });
        false
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

/// How the job itself ended.
fn outcome(slot: &Slot) -> Report {
    let mut report = slot.report;
    if report.outcome == Outcome::Done {
        return report;
    }
    if slot.cancel && report.sqlstate.as_str() == "57014" {
        report.outcome = Outcome::Cancelled;
    } else if slot.evicted {
        report = Report {
            outcome: Outcome::Requeue,
            ..Report::default()
        };
    } else if report.outcome == Outcome::Unknown {
        report.outcome = Outcome::Lost;
        report.message.set("the worker ended without a report");
    }
    report
}

/// The job's own end, with a word about an index that could not be removed.
fn after_clean_up(slot: &Slot) -> Report {
    let mut report = slot.first;
    if slot.report.outcome != Outcome::Done {
        // A job that would be queued again would fail on the left-over's name.
        if report.outcome == Outcome::Requeue {
            report.outcome = Outcome::Failed;
        }
        let text = format!(
            "{}; the invalid index with OID {} was left behind: {}",
            report.message.as_str(),
            slot.index.to_u32(),
            slot.report.message.as_str()
        );
        report.message.set(&text);
    }
    report
}
