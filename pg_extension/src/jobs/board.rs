//! Shared memory of the job machinery: who runs where, and what each worker has to do or has done.
//!
//! One lock, held for copies of fixed size only and never across anything that can raise an error. Everything is
//! bounded: 8 jobs at a time and 16 databases at a time in the whole cluster; what does not fit waits in its table.

use pgrx::pg_sys;
use pgrx::{PGRXSharedMemory, PgLwLock};

/// Jobs that can run at the same time in the whole cluster.
pub(super) const MAX_SLOTS: usize = 8;
/// Databases that can have a coordinator at the same time.
pub(super) const MAX_COORDINATORS: usize = 16;
/// DROP, ALTER and CREATE DATABASE commands at the same time that our workers make room for.
pub(super) const MAX_EVICTIONS: usize = 16;
/// Indexes that one job makes or rebuilds and that are looked at when it fails. A job that needs more is refused.
pub(super) const MAX_TOUCHED: usize = 256;
/// Bytes of a job's options as JSON text. `submit_job` refuses longer ones.
pub(super) const MAX_OPTIONS_BYTES: usize = 4096;

/// Text of a bounded length; longer text is cut at a character.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    length: usize,
    bytes: [u8; N],
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self {
            length: 0,
            bytes: [0; N],
        }
    }
}

impl<const N: usize> Text<N> {
    /// Keeps as many whole characters of `text` as fit.
    pub(crate) fn set(&mut self, text: &str) {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        self.length = end;
    }

    /// The same of text that may be no UTF-8: what is none becomes a question mark. Allocates nothing.
    pub(crate) fn set_bytes(&mut self, bytes: &[u8]) {
        self.length = 0;
        for chunk in bytes.utf8_chunks() {
            let unreadable = if chunk.invalid().is_empty() { "" } else { "?" };
            for part in [chunk.valid(), unreadable] {
                let mut end = part.len().min(N - self.length);
                while !part.is_char_boundary(end) {
                    end -= 1;
                }
                self.bytes[self.length..self.length + end].copy_from_slice(&part.as_bytes()[..end]);
                self.length += end;
                if end < part.len() {
                    return;
                }
            }
        }
    }

    /// What is kept.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Where a slot is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum SlotState {
    /// Nobody's.
    #[default]
    Free,
    /// A worker was asked for and has not come up.
    Assigned,
    /// Its worker lives.
    Running,
    /// Its worker ended; the coordinator has to read the outcome.
    Finished,
}

/// What the worker has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// The job itself.
    #[default]
    Run,
    /// Drop the invalid index that a failed build left.
    Cleanup,
}

/// How a job ended, before the coordinator wrote it down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Outcome {
    /// Not known: the worker was lost without a word.
    #[default]
    Unknown,
    /// The command finished.
    Done,
    /// The command raised an error.
    Failed,
    /// The command was cancelled because somebody asked.
    Cancelled,
    /// The server went down in the middle.
    Lost,
    /// Somebody else's lock was in the way: the job is queued again, for later.
    Retry,
    /// The worker left because of DROP, ALTER or CREATE DATABASE: the job is queued again.
    Requeue,
}

/// What a worker reports.
#[derive(Clone, Copy, Default)]
pub(super) struct Report {
    /// How it ended.
    pub(super) outcome: Outcome,
    /// SQLSTATE of the error.
    pub(super) sqlstate: Text<5>,
    /// Message of the error, without its DETAIL: that may hold row values.
    pub(super) message: Text<1024>,
    /// The error's own hint.
    pub(super) hint: Text<512>,
}

/// One job that runs, or is about to.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Where the slot is in its life.
    pub(super) state: SlotState,
    /// What its worker has to do.
    pub(super) phase: Phase,
    /// Distinguishes this use of the slot from earlier ones, so that a late worker does nothing.
    pub(super) nonce: u32,
    /// Database of the job.
    pub(super) database: pg_sys::Oid,
    /// `pitcrew.jobs.id`.
    pub(super) job: i64,
    /// Role that the worker connects as.
    pub(super) role: pg_sys::Oid,
    /// Relation, or invalid for the whole database.
    pub(super) target: pg_sys::Oid,
    /// Table of the target: two jobs on one table would only wait for each other.
    pub(super) table: pg_sys::Oid,
    /// How often the job was started, this time included.
    pub(super) attempts: i32,
    /// Kind of the job.
    pub(super) kind: Text<32>,
    /// Options as JSON text.
    pub(super) options: Text<MAX_OPTIONS_BYTES>,
    /// The worker's process, while it lives.
    pub(super) pid: i32,
    /// Address of its latch in shared memory.
    pub(super) latch: usize,
    /// Somebody asked to cancel.
    pub(super) cancel: bool,
    /// The worker was told to leave its database.
    pub(super) evicted: bool,
    /// The text that runs.
    pub(super) command: Text<4096>,
    /// Which command of how many, from 1.
    pub(super) step: u16,
    /// How many commands the job has.
    pub(super) steps: u16,
    /// Index that the job created.
    pub(super) index: pg_sys::Oid,
    /// Indexes that a clean-up looks at.
    pub(super) touched: [pg_sys::Oid; MAX_TOUCHED],
    /// How many of `touched` are set.
    pub(super) touched_length: usize,
    /// How many of `touched` the coordinator has written down.
    pub(super) touched_noted: usize,
    /// Measures of the target as JSON text, before the job.
    pub(super) before: Text<512>,
    /// The same after it.
    pub(super) after: Text<512>,
    /// What the worker reported in this phase.
    pub(super) report: Report,
    /// What was reported before the clean-up began.
    pub(super) first: Report,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            state: SlotState::Free,
            phase: Phase::Run,
            nonce: 0,
            database: pg_sys::InvalidOid,
            job: 0,
            role: pg_sys::InvalidOid,
            target: pg_sys::InvalidOid,
            table: pg_sys::InvalidOid,
            attempts: 0,
            kind: Text::default(),
            options: Text::default(),
            pid: 0,
            latch: 0,
            cancel: false,
            evicted: false,
            command: Text::default(),
            step: 0,
            steps: 0,
            index: pg_sys::InvalidOid,
            touched: [pg_sys::InvalidOid; MAX_TOUCHED],
            touched_length: 0,
            touched_noted: 0,
            before: Text::default(),
            after: Text::default(),
            report: Report::default(),
            first: Report::default(),
        }
    }
}

impl Slot {
    /// Indexes that a clean-up looks at.
    pub(super) fn touched(&self) -> &[pg_sys::Oid] {
        &self.touched[..self.touched_length]
    }

    /// Wakes the worker.
    pub(super) fn wake(&self) {
        let latch = self.latch as *mut pg_sys::Latch;
        if !latch.is_null() {
            // SAFETY: the address of a PGPROC's latch, which stays mapped for the server's life; another process that
            // has it by now is woken for nothing.
            unsafe { pg_sys::SetLatch(latch) };
        }
    }

    /// Adds one; `false` when there is no room.
    pub(super) fn touch(&mut self, index: pg_sys::Oid) -> bool {
        let Some(place) = self.touched.get_mut(self.touched_length) else {
            return false;
        };
        *place = index;
        self.touched_length += 1;
        true
    }
}

/// One coordinator that lives.
#[derive(Clone, Copy, Default)]
pub(super) struct Coordinator {
    /// Its database; invalid when the entry is free.
    pub(super) database: pg_sys::Oid,
    /// Its process.
    pub(super) pid: i32,
    /// Address of its latch in shared memory.
    pub(super) latch: usize,
    /// Raised by whoever wants it to look at its tables again.
    pub(super) pokes: u32,
}

/// A command that needs a database to itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Eviction {
    /// The database; invalid when the entry is free.
    pub(super) database: pg_sys::Oid,
    /// Backend that runs the command.
    pub(super) pid: i32,
}

/// Everything under the one lock.
#[derive(Clone, Copy, Default)]
pub(super) struct Board {
    /// Jobs.
    pub(super) slots: [Slot; MAX_SLOTS],
    /// Coordinators.
    pub(super) coordinators: [Coordinator; MAX_COORDINATORS],
    /// Databases that our processes stay away from.
    pub(super) evictions: [Eviction; MAX_EVICTIONS],
    /// Last nonce given out.
    pub(super) nonce: u32,
}

// SAFETY: plain data of fixed size; addresses in it are of shared memory, which is mapped at the same place in every
// process of the server.
unsafe impl PGRXSharedMemory for Board {}

impl Board {
    /// The coordinator of a database.
    pub(super) fn coordinator(&mut self, database: pg_sys::Oid) -> Option<&mut Coordinator> {
        self.coordinators
            .iter_mut()
            .find(|c| c.database == database && c.pid != 0)
    }

    /// Whether our processes have to stay away from a database.
    pub(super) fn is_evicted(&self, database: pg_sys::Oid) -> bool {
        self.evictions
            .iter()
            .any(|e| e.database == database && e.pid != 0)
    }

    /// Tells the coordinator of a database to look again; `false` when it has none.
    pub(super) fn poke(&mut self, database: pg_sys::Oid) -> bool {
        let Some(coordinator) = self.coordinator(database) else {
            return false;
        };
        coordinator.pokes = coordinator.pokes.wrapping_add(1);
        let latch = coordinator.latch as *mut pg_sys::Latch;
        // SAFETY: the address of a PGPROC's latch, which stays mapped for the server's life.
        unsafe { pg_sys::SetLatch(latch) };
        true
    }
}

/// The board. Only there when the library was preloaded.
// SAFETY: the name is this extension's own.
pub(super) static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"pg_pitcrew jobs") };

/// Asks for the shared memory.
// pgrx's macro asks for the features of server versions that this crate does not have.
#[allow(unexpected_cfgs)]
pub(super) fn preload() {
    use pgrx::prelude::*;
    pgrx::pg_shmem_init!(BOARD);
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_is_cut_at_a_character() {
        let mut text = Text::<4>::default();
        text.set("aäöü");
        assert_eq!(text.as_str(), "aä");
        text.set("abcdef");
        assert_eq!(text.as_str(), "abcd");
        text.set("");
        assert!(text.is_empty());
        text.set_bytes(b"a\xe9b");
        assert_eq!(text.as_str(), "a?b");
        text.set_bytes("abcö".as_bytes());
        assert_eq!(text.as_str(), "abc");
    }
}
