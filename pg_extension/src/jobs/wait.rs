//! `CALL pitcrew.wait_job()`: a procedure, because a waiting function would keep the snapshot that a concurrent build
//! waits for, and both would wait for ever.
//!
//! A procedure that commits cannot have a SET clause, so every name in here is qualified.

use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::process;
use crate::failure::Failure;
use crate::names;

/// Between two looks at the job.
const STEP_MS: i64 = 100;
/// `SPI_OPT_NONATOMIC` of `executor/spi.h`.
const NONATOMIC: i32 = 1;

/// How a job stands.
struct Job {
    state: String,
    code: Option<String>,
    error: Option<String>,
    hint: Option<String>,
}

#[pg_extern(sql = r#"
CREATE PROCEDURE pitcrew.wait_job(id bigint, timeout_ms integer DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'wait_job_wrapper';
COMMENT ON PROCEDURE pitcrew.wait_job(bigint, integer) IS
    'Waits until a job is done, without holding a snapshot; not inside a transaction block. Fails with the job''s own SQLSTATE when it failed or was cancelled, and with 57014 after timeout_ms (NULL waits without limit).';
"#)]
fn wait_job(id: Option<i64>, timeout_ms: Option<i32>, fcinfo: pg_sys::FunctionCallInfo) {
    let Some(id) = id else {
        Failure::argument("a job to wait for is needed").raise();
    };
    if timeout_ms.is_some_and(|limit| limit < 0) {
        Failure::argument("timeout_ms must not be negative").raise();
    }
    // SAFETY: the server passes valid call information; CALL puts a CallContext into it.
    let is_atomic = unsafe {
        let context = (*fcinfo).context;
        context.is_null()
            || (*context).type_ != pg_sys::NodeTag::T_CallContext
            || (*context.cast::<pg_sys::CallContext>()).atomic
    };
    if is_atomic {
        Failure::new(
            PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_TERMINATION,
            "pitcrew.wait_job cannot wait inside a transaction block",
        )
        .hint("Its snapshot would hold up the job. CALL it by itself, after COMMIT.")
        .raise();
    }
    let begin = Instant::now();
    let limit = timeout_ms.map(|limit| Duration::from_millis(limit.unsigned_abs().into()));
    // SAFETY: an SPI connection that may commit; it ends with the statement if an error leaves this function.
    unsafe { pg_sys::SPI_connect_ext(NONATOMIC) };
    loop {
        let job = read(id);
        // The snapshot goes: nobody waits for this session.
        // SAFETY: connected without atomicity.
        unsafe { pg_sys::SPI_commit() };
        match job.state.as_str() {
            "queued" | "waiting_for_lock" | "running" => {}
            "done" => break,
            _ => not_done(id, job),
        }
        if limit.is_some_and(|limit| begin.elapsed() >= limit) {
            Failure::new(
                PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                format!("job {id} is still {}", job.state),
            )
            .hint("It goes on. Wait again, or cancel it with pitcrew.cancel_job().")
            .raise();
        }
        process::wait(STEP_MS);
    }
    // SAFETY: ends the connection of above.
    unsafe { pg_sys::SPI_finish() };
}

fn not_done(id: i64, job: Job) -> ! {
    let code = job.code.filter(|code| code.len() == 5).map_or(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        // As MAKE_SQLSTATE of utils/elog.h packs it.
        |code| {
            let packed = code
                .bytes()
                .enumerate()
                .fold(0_i32, |packed, (place, byte)| {
                    packed | (i32::from(byte.wrapping_sub(b'0') & 0x3f) << (6 * place))
                });
            PgSqlErrorCode::from(packed)
        },
    );
    let error = job.error.unwrap_or_default();
    let mut failure = Failure::new(code, format!("job {id} is {}: {error}", job.state));
    if let Some(hint) = job.hint {
        failure = failure.hint(hint);
    }
    failure.raise()
}

fn read(id: i64) -> Job {
    let query = format!(
        "SELECT state, sqlstate, error, hint FROM pitcrew.jobs WHERE id OPERATOR(pg_catalog.=) {id}"
    );
    let found = names::c_string(&query).ok().and_then(|query| {
        // SAFETY: connected to SPI; the table is there until SPI_commit.
        unsafe {
            let done = pg_sys::SPI_execute(query.as_ptr(), true, 1);
            if done != pg_sys::SPI_OK_SELECT as i32 || pg_sys::SPI_processed == 0 {
                return None;
            }
            let table = pg_sys::SPI_tuptable;
            let value = |column| {
                names::text(pg_sys::SPI_getvalue(
                    *(*table).vals,
                    (*table).tupdesc,
                    column,
                ))
            };
            Some(Job {
                state: value(1)?,
                code: value(2),
                error: value(3),
                hint: value(4),
            })
        }
    });
    found.unwrap_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("there is no job {id}"),
        )
        .raise()
    })
}
