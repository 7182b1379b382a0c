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
        process::transaction(c"pitcrew: noting", || {
            for (number, slot) in &running {
                self.note(*number, slot);
            }
        });
        // Only now: the worker goes on when what it touches is on disk.
        for (number, noted) in &running {
            self.change(*number, |slot| {
                if slot.nonce == noted.nonce {
                    slot.touched_noted = noted.touched_length;
                    slot.wake();
                }
            });
        }
        process::transaction(c"pitcrew: progress", || self.note_progress(&running));
    }

    fn note(&mut self, number: usize, slot: &Slot) {
        let now = Some((
            slot.job,
            slot.index.to_u32(),
            slot.touched_length,
            slot.step,
            !slot.before.is_empty(),
        ));
        if self.noted[number] != now {
            ledger::note_slot(slot);
            self.noted[number] = now;
        }
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
                if let Some((_, is_waiting, progress)) = &now {
                    ledger::note_watched(slot, *is_waiting, progress);
                }
                self.watched[*number] = now;
            }
        }
    }
}
