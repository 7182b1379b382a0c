//! Shared memory of the sampler: one lock, held for small copies only and never across anything that can raise an error.

use pgrx::pg_sys;
use pgrx::{PGRXSharedMemory, PgLwLock};

use crate::jobs::board::Text;
use crate::jobs::process;

/// What sessions can be seen doing between two ticks, of all databases together. More is counted as dropped.
const MAX_STATES: usize = 2_048;
/// Sessions that wait for a tick at the same time.
const MAX_ASKS: usize = 32;
/// Databases whose looks are told apart. Of more, a tick does not say how many looks it stands for.
const MAX_TALLIES: usize = 64;

/// Databases whose last error is kept; of more, those with the newest.
const MAX_ERRORS: usize = 16;

/// What one session did at one look.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Doing {
    /// Its database; invalid when the entry is free.
    pub(super) database: pg_sys::Oid,
    pub(super) state: pg_sys::BackendState::Type,
    /// The server's code for what it waits for, 0 for nothing.
    pub(super) wait: u32,
    /// The statement.
    pub(super) query: i64,
}

/// How often it was seen.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) doing: Doing,
    pub(super) count: u32,
}

/// Since the last tick of a database.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    database: pg_sys::Oid,
    /// Looks.
    pub(super) looks: u32,
    /// Sessions that found no room.
    pub(super) dropped: u32,
}

/// Where a wish is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody's.
    #[default]
    Free,
    /// No worker has begun since.
    Asked,
    /// A worker that began later than the wish works on it.
    Begun,
    /// The tick is committed.
    Done,
    /// There is no tick.
    Failed,
}

/// Somebody waits for a tick.
#[derive(Clone, Copy, Default)]
pub(super) struct Ask {
    pub(super) pid: i32,
    pub(super) database: pg_sys::Oid,
    pub(super) stage: Stage,
    pub(super) tick: i64,
}

/// How the last worker ended.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With an error, or it was told to leave.
    #[default]
    Failed,
    /// With a tick.
    Done,
    /// The extension is not in that database.
    NoExtension,
}

/// Why a tick of a database failed.
#[derive(Clone, Copy, Default)]
pub(super) struct LastError {
    /// Invalid when the entry is free.
    pub(super) database: pg_sys::Oid,
    pub(super) at: pg_sys::TimestampTz,
    pub(super) sqlstate: Text<5>,
    /// Without its DETAIL: that may hold row values.
    pub(super) message: Text<512>,
}

/// Everything under the one lock.
#[derive(Clone, Copy)]
pub(super) struct Board {
    /// Address of the sampler's latch.
    pub(super) sampler_latch: usize,
    /// The one worker: its database and process. No process when there is none.
    pub(super) worker: (pg_sys::Oid, i32),
    pub(super) outcome: Outcome,
    errors: [LastError; MAX_ERRORS],
    pub(super) asks: [Ask; MAX_ASKS],
    tallies: [Tally; MAX_TALLIES],
    seen: [Seen; MAX_STATES],
}

impl Default for Board {
    fn default() -> Self {
        Self {
            sampler_latch: 0,
            worker: (pg_sys::InvalidOid, 0),
            outcome: Outcome::Failed,
            errors: [LastError::default(); MAX_ERRORS],
            asks: [Ask::default(); MAX_ASKS],
            tallies: [Tally::default(); MAX_TALLIES],
            seen: [Seen::default(); MAX_STATES],
        }
    }
}

// SAFETY: plain data of fixed size; the address in it is of shared memory.
unsafe impl PGRXSharedMemory for Board {}

// SAFETY: the name is this extension's own.
pub(super) static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"pg_pitcrew history") };

/// Asks for the shared memory.
// pgrx's macro asks for the features of server versions that this crate does not have.
#[allow(unexpected_cfgs)]
pub(super) fn preload() {
    use pgrx::prelude::*;
    pgrx::pg_shmem_init!(BOARD);
}

impl Board {
    /// Counts one look at all sessions.
    pub(super) fn look(&mut self, all: &[Doing]) {
        for tally in self.tallies.iter_mut().filter(|tally| has(tally.database)) {
            tally.looks = tally.looks.saturating_add(1);
        }
        for &doing in all {
            // One pass: the entry itself, else the first free one.
            let mut place = None;
            for (number, seen) in self.seen.iter().enumerate() {
                if seen.doing == doing {
                    place = Some(number);
                    break;
                }
                if place.is_none() && !has(seen.doing.database) {
                    place = Some(number);
                }
            }
            match place {
                Some(number) => {
                    let seen = &mut self.seen[number];
                    seen.doing = doing;
                    seen.count = seen.count.saturating_add(1);
                }
                None => {
                    if let Some(tally) = self.tally(doing.database) {
                        tally.dropped = tally.dropped.saturating_add(1);
                    }
                }
            }
        }
    }

    /// The tally of a database, a new one if there is room.
    fn tally(&mut self, database: pg_sys::Oid) -> Option<&mut Tally> {
        let known = self.tallies.iter().position(|t| t.database == database);
        let place = known.or_else(|| self.tallies.iter().position(|t| !has(t.database)))?;
        self.tallies[place].database = database;
        Some(&mut self.tallies[place])
    }

    /// What was seen in a database since its last tick.
    pub(super) fn seen(&mut self, database: pg_sys::Oid) -> (Tally, Vec<Seen>) {
        let tally = self.tally(database).copied().unwrap_or_default();
        let of_it = self.seen.iter().filter(|s| s.doing.database == database);
        (tally, of_it.copied().collect())
    }

    /// It is written: only what came meanwhile is still to be written.
    pub(super) fn written(&mut self, tally: Tally, taken: &[Seen]) {
        if let Some(there) = self.tally(tally.database) {
            there.looks -= tally.looks.min(there.looks);
            there.dropped -= tally.dropped.min(there.dropped);
        }
        for taken in taken {
            if let Some(there) = self.seen.iter_mut().find(|s| s.doing == taken.doing) {
                there.count -= taken.count.min(there.count);
                if there.count == 0 {
                    *there = Seen::default();
                }
            }
        }
    }

    /// Forgets databases that are gone, or that nobody writes for.
    pub(super) fn keep_only(&mut self, databases: &[pg_sys::Oid]) {
        for tally in &mut self.tallies {
            if !databases.contains(&tally.database) {
                *tally = Tally::default();
            }
        }
        for seen in &mut self.seen {
            if !databases.contains(&seen.doing.database) {
                *seen = Seen::default();
            }
        }
    }

    /// Keeps a database's error in the place of its last one, or of the oldest.
    pub(super) fn failed(&mut self, error: LastError) {
        let place = |known: &LastError| match known.database {
            own if own == error.database => (0, 0),
            free if !has(free) => (1, 0),
            _ => (2, known.at),
        };
        if let Some(known) = self.errors.iter_mut().min_by_key(|known| place(known)) {
            *known = error;
        }
    }

    /// Why the last tick of a database that failed did so, since the server's start.
    pub(super) fn last_error(&self, database: pg_sys::Oid) -> Option<LastError> {
        let mut errors = self.errors.iter().copied();
        errors.find(|error| error.database == database)
    }

    /// Moves wishes for a database from one stage to another.
    pub(super) fn advance(&mut self, database: pg_sys::Oid, from: Stage, to: Stage, tick: i64) {
        for ask in self
            .asks
            .iter_mut()
            .filter(|ask| ask.database == database && ask.stage == from)
        {
            (ask.stage, ask.tick) = (to, tick);
        }
    }

    /// Wakes the sampler.
    pub(super) fn wake_sampler(&self) {
        let latch = self.sampler_latch as *mut pg_sys::Latch;
        if !latch.is_null() {
            // SAFETY: the address of a PGPROC's latch, which stays mapped for the server's life.
            unsafe { pg_sys::SetLatch(latch) };
        }
    }
}

fn has(database: pg_sys::Oid) -> bool {
    database != pg_sys::InvalidOid
}

/// Sends the worker away from a database that somebody needs for himself.
pub(crate) fn leave(database: pg_sys::Oid) {
    let board = BOARD.exclusive();
    if board.worker.0 == database {
        process::signal(board.worker.1, libc::SIGTERM);
    }
}

/// Whether the worker is in that database.
pub(crate) fn is_inside(database: pg_sys::Oid) -> bool {
    let board = BOARD.share();
    board.worker.0 == database && board.worker.1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(database: u32, query: i64) -> Doing {
        Doing {
            database: database.into(),
            state: 2,
            wait: 0,
            query,
        }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut board = Box::<Board>::default();
        let many: Vec<Doing> = (0..MAX_STATES as i64 + 10)
            .map(|query| doing(1, query))
            .collect();
        board.look(&many);
        board.look(&many[..5]);
        let (tally, seen) = board.seen(1.into());
        assert_eq!((tally.dropped, seen.len()), (10, MAX_STATES));
        let counts: u32 = seen.iter().map(|seen| seen.count).sum();
        assert_eq!(counts as usize, MAX_STATES + 5);
    }

    #[test]
    fn of_each_database_the_last_error_is_kept_and_of_many_the_newest() {
        let mut board = Box::<Board>::default();
        let mut fail = |database: u32, at: i64| {
            let mut error = LastError {
                database: database.into(),
                at,
                ..LastError::default()
            };
            error.message.set(&"long ".repeat(200));
            board.failed(error);
        };
        let many = MAX_ERRORS as u32;
        (1..=many).for_each(|database| fail(database, i64::from(database)));
        fail(1, 100);
        fail(many + 1, 101);
        let kept = |database: u32| board.last_error(database.into()).map(|error| error.at);
        assert_eq!([kept(1), kept(2), kept(3)], [Some(100), None, Some(3)]);
        assert_eq!(kept(many + 1), Some(101));
        let message = board.last_error(3.into()).unwrap().message;
        assert_eq!(message.as_str().len(), 512);
    }

    #[test]
    fn what_comes_while_a_tick_is_written_stays_for_the_next() {
        let mut board = Box::<Board>::default();
        board.look(&[doing(1, 7), doing(2, 7)]);
        board.look(&[doing(1, 7), doing(1, 8)]);
        let (tally, seen) = board.seen(1.into());
        board.look(&[doing(1, 7)]);
        board.written(tally, &seen);
        let left = |board: &mut Board, database: u32| -> Vec<(i64, u32)> {
            let (_, seen) = board.seen(database.into());
            seen.iter()
                .map(|seen| (seen.doing.query, seen.count))
                .collect()
        };
        assert_eq!(left(&mut board, 1), [(7, 1)]);
        assert_eq!(left(&mut board, 2), [(7, 1)]);
        board.keep_only(&[2.into()]);
        assert_eq!(left(&mut board, 1), []);
        assert_eq!(left(&mut board, 2), [(7, 1)]);
    }
}
