//! The one process that is always there: it starts a coordinator for each database that wants one.
//!
//! It is connected to no database, so it stands in no DROP DATABASE's way. When the server starts it has every
//! database looked at once, so that jobs that were queued or running before a restart are taken up again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::board::BOARD;
use super::process::{self, Started};
use super::{leave, wake};
use crate::schedule::dues;

/// Coordinators that are coming up at the same time.
const MAX_STARTING: usize = 3;
/// Starts in one database within a window, so that a coordinator that cannot live costs little.
const MAX_STARTS: usize = 5;
const START_WINDOW: Duration = Duration::from_secs(1);
/// How often every database is looked at while more have schedules than can be noted.
const LOOK_AROUND: Duration = Duration::from_secs(60);
/// Wait after which a refused start is tried again.
const RETRY_MS: i64 = 500;
/// Longest sleep: only a safety net, for everything that matters sets the latch.
const IDLE_MS: i64 = 60_000;

/// Registers the launcher with the postmaster.
pub(super) fn preload() {
    let mut worker = process::worker("pitcrew launcher", "pitcrew_launcher_main", 0);
    worker.bgw_restart_time = 5;
    // SAFETY: called in _PG_init of a preloaded library.
    unsafe { pg_sys::RegisterBackgroundWorker(&mut worker) };
}

struct Launch {
    database: pg_sys::Oid,
    handle: Started,
}

/// Entry point of the launcher.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pitcrew_launcher_main(_argument: pg_sys::Datum) {
    process::signals();
    // SAFETY: no database: shared catalogues alone.
    unsafe { pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0) };
    // SAFETY: set for every background worker with shared memory access.
    wake::launcher_is(unsafe { pg_sys::MyLatch });

    let mut pending: VecDeque<pg_sys::Oid> = databases().into();
    let mut starting: Vec<Launch> = Vec::new();
    let mut starts: Vec<(pg_sys::Oid, Instant)> = Vec::new();
    let mut looked = Instant::now();
    loop {
        process::reload_if_asked();
        let (mut wanted, mut overflow) = wake::take();
        wanted.extend(dues::take());
        // Databases whose next schedule could not be noted: all are looked at, but not all the time.
        if looked.elapsed() >= LOOK_AROUND && dues::take_overflow() {
            looked = Instant::now();
            overflow = true;
        }
        if overflow || !wanted.is_empty() {
            let there = databases();
            // A dropped database's coordinator wanted a successor when it was sent away.
            for &gone in wanted.iter().filter(|database| !there.contains(database)) {
                leave::forget(gone);
                dues::set(gone, None);
            }
            let wanted = there
                .into_iter()
                .filter(|database| overflow || wanted.contains(database));
            for database in wanted
                .filter(|database| !pending.contains(database))
                .collect::<Vec<_>>()
            {
                pending.push_back(database);
            }
        }
        forget_dead_evictions();
        starting.retain(|launch| !launch.handle.has_stopped() && !has_coordinator(launch.database));
        starts.retain(|(_, at)| at.elapsed() < START_WINDOW);

        for _ in 0..pending.len() {
            let Some(database) = pending.pop_front() else {
                break;
            };
            if BOARD.exclusive().poke(database) {
                continue;
            }
            let is_coming = starting.iter().any(|launch| launch.database == database);
            let is_early = starts
                .iter()
                .filter(|(started, _)| *started == database)
                .count()
                >= MAX_STARTS;
            if is_coming
                || is_early
                || starting.len() >= MAX_STARTING
                || BOARD.share().is_evicted(database)
            {
                pending.push_back(database);
                continue;
            }
            let name = format!("pitcrew coordinator: database {}", database.to_u32());
            let worker = process::worker(
                &name,
                "pitcrew_coordinator_main",
                u64::from(database.to_u32()),
            );
            match process::start(worker) {
                Some(handle) => {
                    starting.push(Launch { database, handle });
                    starts.push((database, Instant::now()));
                }
                None => pending.push_back(database),
            }
        }
        process::wait(if pending.is_empty() && starting.is_empty() {
            IDLE_MS.min(dues::until(dues::first()))
        } else {
            RETRY_MS
        });
    }
}

fn has_coordinator(database: pg_sys::Oid) -> bool {
    BOARD.exclusive().coordinator(database).is_some()
}

/// A backend that was killed in the middle of DROP DATABASE cannot lift its own eviction.
fn forget_dead_evictions() {
    let evictions = BOARD.share().evictions;
    for eviction in evictions.iter().filter(|e| e.pid != 0) {
        // SAFETY: a look-up in shared memory.
        if unsafe { pg_sys::BackendPidGetProc(eviction.pid) }.is_null() {
            leave::lift(eviction.database, eviction.pid);
        }
    }
}

/// Databases that a coordinator may connect to. Templates are left alone: a connection would stop CREATE DATABASE.
pub(crate) fn databases() -> Vec<pg_sys::Oid> {
    process::transaction(c"pitcrew: listing databases", || {
        let mut found = Vec::new();
        // SAFETY: a sequential scan of a shared catalogue, as the autovacuum launcher does it.
        unsafe {
            let relation =
                pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as _);
            let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
            loop {
                let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tuple.is_null() {
                    break;
                }
                let header = (*tuple).t_data;
                let data = header.cast::<u8>().add(usize::from((*header).t_hoff));
                let form = &*data.cast::<pg_sys::FormData_pg_database>();
                if form.datallowconn && !form.datistemplate {
                    found.push(form.oid);
                }
            }
            // table_endscan() is an inline function of the server's headers: this is what it does for a heap.
            pg_sys::heap_endscan(scan);
            pg_sys::table_close(relation, pg_sys::AccessShareLock as _);
        }
        found
    })
}
