//! Which queued job starts when, and in which slot.

use super::board::{BOARD, Board, MAX_OPTIONS_BYTES, Outcome, Report, Slot, SlotState};
use super::coordinator::Run;
use super::{ledger, process, worker};
use crate::failure::read_text;
use crate::guc;

impl Run {
    /// Starts what may start; `true` when a job stays queued, or when nobody could look.
    pub(super) fn start_queued(&mut self) -> bool {
        let queue = process::bounded(c"pitcrew: reading the queue", ledger::to_start);
        for job in queue.unwrap_or_default() {
            let busy = self.slots();
            // Two jobs on one table would only wait for each other's locks.
            let is_taken = busy.iter().any(|(_, slot)| slot.table == job.table);
            if busy.len() >= guc::MAX_PARALLEL_JOBS.get() as usize {
                break;
            }
            if is_taken {
                continue;
            }
            if let Some(report) = refused(&job) {
                process::bounded(c"pitcrew: writing a result", || {
                    ledger::finish(job.id, job.attempts, &report)
                });
                continue;
            }
            let Some(number) = self.reserve(&job) else {
                break;
            };
            let started = process::bounded(c"pitcrew: starting a job", || {
                ledger::mark_running(job.id);
            });
            // Somebody holds its row: it stays queued, and others go on.
            if started.is_none() {
                self.change(number, |slot| *slot = Slot::default());
                continue;
            }
            let slot = BOARD.share().slots[number];
            if !self.start_worker(number, &slot) {
                break;
            }
        }
        process::bounded(c"pitcrew: reading the queue", ledger::has_queued) != Some(false)
    }

    pub(super) fn reserve(&self, job: &ledger::Unfinished) -> Option<usize> {
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
            table: job.table,
            attempts: job.attempts + 1,
            ..Slot::default()
        };
        slot.kind.set(&job.kind);
        slot.options.set(&job.options);
        Some(number)
    }

    /// Starts the worker of an assigned slot. When the server has no room the slot goes back the way of a worker that
    /// never came up.
    pub(super) fn start_worker(&mut self, number: usize, slot: &Slot) -> bool {
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
}

/// Why a job cannot start, seen with the rights to see everybody's transactions.
fn refused(job: &ledger::Unfinished) -> Option<Report> {
    let mut report = Report {
        outcome: Outcome::Failed,
        ..Report::default()
    };
    if job.options.len() > MAX_OPTIONS_BYTES {
        report.sqlstate.set("22023");
        report.message.set("job options are too long");
        return Some(report);
    }
    let age = guc::JOB_MAX_TRANSACTION_AGE_S.get();
    let is_concurrent = matches!(
        job.kind.as_str(),
        "create_index"
            | "reindex"
            | "drop_index"
            | "rebuild_bloated_indexes"
            | "repair_invalid_indexes"
    );
    if age == 0 || !is_concurrent {
        return None;
    }
    let query = include_str!("../../sql/queries/long_transactions.sql");
    let oldest = process::bounded(c"pitcrew: looking for old transactions", || {
        read_text("pg_stat_activity", query, &[f64::from(age).into()])
    })??;
    report.sqlstate.set("55006");
    report.message.set(&format!(
        "a concurrent build would wait for an old transaction: {oldest}"
    ));
    report
        .hint
        .set("End that transaction, then submit the job again; pitcrew.job_max_transaction_age is the limit.");
    Some(report)
}
