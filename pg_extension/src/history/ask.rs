//! `pitcrew.history_sample`: a tick now, taken by the sampler as every other one.

use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::board::{Ask, BOARD, Stage};
use crate::failure::{Failure, or_raise};
use crate::jobs::process;
use crate::{PRELOAD_LINE, guc, is_preloaded};

/// Longest wait for a tick.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP_MS: i64 = 10;

/// Has the sampler take a tick of this database now, and waits for it.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.history_sample() RETURNS bigint
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_sample_wrapper';
COMMENT ON FUNCTION pitcrew.history_sample() IS
    'Has the sampler take a tick of this database now, and waits for it, at most 60 s. Returns pitcrew.history_ticks.id. The next statement sees the tick, a transaction of isolation level repeatable read not.';
"#)]
fn history_sample() -> i64 {
    or_raise(can_sample());
    // SAFETY: set in every connected process.
    let (pid, database) = unsafe { (pg_sys::MyProcPid, pg_sys::MyDatabaseId) };
    or_raise(ask(pid, database));
    let begin = Instant::now();
    let tick = loop {
        let (stage, tick) = look(pid);
        match stage {
            Stage::Done => break Ok(tick),
            Stage::Failed => break Err(failed(database)),
            _ if begin.elapsed() > PATIENCE => {
                break Err(Failure::new(
                    PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                    "the sampler took no tick within 60 s",
                )
                .hint("Every worker may be busy: raise max_worker_processes. The server's log tells more."));
            }
            _ => process::wait(STEP_MS),
        }
    };
    give_up(pid);
    or_raise(tick)
}

fn can_sample() -> Result<(), Failure> {
    // SAFETY: a plain read of shared state.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "history is not sampled on a replica",
        )
        .hint("Its primary samples; what it keeps is replicated."));
    }
    let not_ready = |message: &str, hint: String| {
        let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        Err(Failure::new(code, message).hint(hint))
    };
    if !is_preloaded() {
        let hint = format!("Put {PRELOAD_LINE} into postgresql.conf and restart the server.");
        return not_ready("history needs pg_pitcrew to be preloaded", hint);
    }
    if !guc::HISTORY.get() {
        let hint = "Set pitcrew.history = on in postgresql.conf and reload.".to_owned();
        return not_ready("history is switched off", hint);
    }
    Ok(())
}

fn ask(pid: i32, database: pg_sys::Oid) -> Result<(), Failure> {
    let mut board = BOARD.exclusive();
    // A wish whose session was cancelled or is gone is nobody's.
    for ask in board.asks.iter_mut().filter(|ask| ask.pid != 0) {
        // SAFETY: a look-up in shared memory.
        if ask.pid == pid || unsafe { pg_sys::BackendPidGetProc(ask.pid) }.is_null() {
            *ask = Ask::default();
        }
    }
    let Some(free) = board.asks.iter_mut().find(|ask| ask.stage == Stage::Free) else {
        drop(board);
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            "too many sessions wait for a tick",
        )
        .hint("Try again when they have got theirs."));
    };
    *free = Ask {
        pid,
        database,
        stage: Stage::Asked,
        tick: 0,
    };
    board.wake_sampler();
    Ok(())
}

fn look(pid: i32) -> (Stage, i64) {
    let board = BOARD.share();
    let found = board.asks.iter().find(|ask| ask.pid == pid);
    found.map_or((Stage::Failed, 0), |ask| (ask.stage, ask.tick))
}

fn give_up(pid: i32) {
    let mut board = BOARD.exclusive();
    for ask in board.asks.iter_mut().filter(|ask| ask.pid == pid) {
        *ask = Ask::default();
    }
}

fn failed(database: pg_sys::Oid) -> Failure {
    let error = BOARD.share().last_error(database);
    let (code, message) = match &error {
        Some(error) => (error.sqlstate.as_str(), error.message.as_str()),
        None => ("55000", "its worker ended"),
    };
    Failure::new(sqlstate(code), format!("the tick failed: {message}"))
        .hint("The server's log tells more; the sampler tries again at its next round.")
}

/// The error that its five characters name, packed as the server does (`MAKE_SQLSTATE`).
fn sqlstate(text: &str) -> PgSqlErrorCode {
    let packed = text.bytes().rev().fold(0, |packed, byte| {
        (packed << 6) | i32::from(byte.wrapping_sub(b'0') & 0x3f)
    });
    PgSqlErrorCode::from(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_fails_with_the_error_of_its_worker() {
        assert_eq!(sqlstate("57014"), PgSqlErrorCode::ERRCODE_QUERY_CANCELED);
        assert_eq!(sqlstate("XX000"), PgSqlErrorCode::ERRCODE_INTERNAL_ERROR);
    }
}
