//! What a running job tells: its worker through the board, the server through its progress views.

use pgrx::prelude::*;

use super::board::{Phase, Slot, SlotState};
use super::coordinator::Run;
use super::{ledger, process};
use crate::failure::spi;
use crate::text;

impl Run {
    pub(super) fn watch(&mut self) {
        let running: Vec<_> = self
            .slots()
            .into_iter()
            .filter(|(_, slot)| slot.phase == Phase::Run && slot.state == SlotState::Running)
            .collect();
        if running.is_empty() {
            return;
        }
        for (number, seen) in &running {
            if !self.note(*number, seen) {
                continue;
            }
            // Only now: the worker goes on when what it touches is on disk.
            self.change(*number, |slot| {
                if slot.nonce == seen.nonce {
                    slot.touched_noted = seen.touched_length;
                    slot.wake();
                }
            });
        }
        process::bounded(c"pitcrew: writing progress", || {
            self.note_progress(&running)
        });
    }

    /// Whether what the slot tells is in the table.
    fn note(&mut self, number: usize, slot: &Slot) -> bool {
        let now = Some((
            slot.job,
            slot.index.to_u32(),
            slot.touched_length,
            slot.step,
            !slot.before.is_empty(),
        ));
        if self.noted[number] == now {
            return true;
        }
        let noted = process::bounded(c"pitcrew: noting what a job does", || {
            ledger::note_slot(slot);
        });
        if noted.is_some() {
            self.noted[number] = now;
        }
        noted.is_some()
    }

    fn note_progress(&mut self, running: &[(usize, Slot)]) {
        let pids: Vec<i32> = running.iter().map(|(_, slot)| slot.pid).collect();
        let rows: Vec<(i32, bool, String)> = Spi::connect(|client| {
            let query = include_str!("../../sql/queries/watch_jobs.sql");
            let rows = spi("progress", client.select(query, None, &[pids.into()]));
            rows.filter_map(|row| {
                Some((
                    spi("progress", row.get(1))?,
                    spi("progress", row.get(2))?,
                    text::plain(spi("progress", row.get(3)))?,
                ))
            })
            .collect()
        });
        for (pid, is_waiting, progress) in rows {
            let Some((number, slot)) = running.iter().find(|(_, slot)| slot.pid == pid) else {
                continue;
            };
            let now = Some((slot.job, is_waiting, progress));
            if self.watched[*number] != now {
                let noted = now.as_ref().and_then(|(_, is_waiting, progress)| {
                    process::attempt("progress", || {
                        ledger::note_watched(slot, *is_waiting, progress);
                    })
                });
                if noted.is_some() {
                    self.watched[*number] = now;
                }
            }
        }
    }
}
