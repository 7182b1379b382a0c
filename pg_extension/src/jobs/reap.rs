//! How jobs end: outcomes are written down, failed builds are cleaned up first, lost jobs are found.

use super::board::{BOARD, MAX_SLOTS, Outcome, Phase, Report, Slot, SlotState};
use super::coordinator::Run;
use super::ledger;
use super::process::{self, Started};
use crate::guc;

impl Run {
    pub(super) fn take_back_what_never_started(&mut self) {
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

    /// Writes down the jobs whose worker ended; a failed index build gets its clean-up first.
    pub(super) fn reap(&mut self) {
        for (number, slot) in self.slots() {
            if slot.state != SlotState::Finished {
                continue;
            }
            self.handles[number] = None;
            let report = match slot.phase {
                Phase::Run => {
                    let report = outcome(&slot);
                    if report.outcome != Outcome::Done && !slot.touched().is_empty() {
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
            let written = process::bounded(c"pitcrew: writing a result", || {
                if slot.phase == Phase::Run {
                    ledger::note_slot(&slot);
                }
                ledger::finish(slot.job, slot.attempts, &report);
            });
            // Somebody holds its row: its end stays on the board until it is in the table.
            if written.is_none() {
                continue;
            }
            self.change(number, |slot| *slot = Slot::default());
            self.noted[number] = None;
            self.watched[number] = None;
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
    pub(super) fn find_lost(&mut self) {
        let running = process::bounded(c"pitcrew: looking for lost jobs", ledger::running);
        for job in running.unwrap_or_default() {
            if self.slots().iter().any(|(_, slot)| slot.job == job.id) {
                continue;
            }
            let report = lost("the server or the worker went down while the job ran");
            if job.touched.is_empty() {
                process::bounded(c"pitcrew: writing a result", || {
                    ledger::finish(job.id, job.attempts, &report)
                });
            } else if let Some(number) = self.reserve(&job) {
                self.change(number, |slot| {
                    slot.index = job.index;
                    for &index in &job.touched {
                        slot.touch(index);
                    }
                });
                self.clean_up(number, report);
            }
        }
    }
}

/// `crash_shutdown`, as the sessions of that moment were told.
fn lost(message: &str) -> Report {
    let mut report = Report {
        outcome: Outcome::Lost,
        ..Report::default()
    };
    report.sqlstate.set("57P02");
    report.message.set(message);
    report
}

/// How the job itself ended.
fn outcome(slot: &Slot) -> Report {
    let mut report = slot.report;
    if report.outcome == Outcome::Done {
        return report;
    }
    let was_in_the_way = matches!(report.sqlstate.as_str(), "55P03" | "40P01");
    if slot.cancel && report.sqlstate.as_str() == "57014" {
        report.outcome = Outcome::Cancelled;
    } else if slot.evicted {
        report = Report {
            outcome: Outcome::Requeue,
            ..Report::default()
        };
    } else if report.outcome == Outcome::Unknown {
        return lost("the worker ended without a report");
    } else if was_in_the_way && slot.attempts <= guc::JOB_LOCK_RETRIES.get() {
        report.outcome = Outcome::Retry;
    }
    if slot.cancel && matches!(report.outcome, Outcome::Requeue | Outcome::Retry) {
        report = cancelled();
    }
    report
}

fn cancelled() -> Report {
    let mut report = Report {
        outcome: Outcome::Cancelled,
        ..Report::default()
    };
    report.sqlstate.set("57014");
    report.message.set("cancelled before its next attempt");
    report
}

/// The job's own end, with a word about an index that could not be removed.
fn after_clean_up(slot: &Slot) -> Report {
    let mut report = slot.first;
    let is_again = matches!(report.outcome, Outcome::Requeue | Outcome::Retry);
    if slot.report.outcome == Outcome::Done {
        return if slot.cancel && is_again {
            cancelled()
        } else {
            report
        };
    }
    // A job that would be queued again would fail on the left-over's name.
    if is_again {
        report.outcome = Outcome::Failed;
    }
    let text = format!(
        "{}; an invalid index of it was left behind (their OIDs are in touched): {}",
        report.message.as_str(),
        slot.report.message.as_str()
    );
    report.message.set(&text);
    report
}
