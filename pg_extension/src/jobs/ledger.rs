//! What the coordinator reads from and writes to `pitcrew.jobs`. Each function runs inside a transaction of its caller.
//!
//! What is written to many rows leaves out those that somebody else holds (`SKIP LOCKED`): they come with a later look.

use pgrx::prelude::*;

use super::board::{Outcome, Report, Slot};
use super::hints;
use crate::failure::spi;
use crate::guc;
use crate::text::{self, Text};

/// Longest wait between two attempts.
const MAX_BACKOFF_MS: f64 = 3_600_000.0;

/// Finished jobs that are kept, beside those whose index is still there: drop_index asks for them.
const KEPT_JOBS: i64 = 10_000;

/// A job that is not finished.
pub(super) struct Unfinished {
    /// `pitcrew.jobs.id`.
    pub(super) id: i64,
    /// Kind, as written.
    pub(super) kind: String,
    /// Relation, or invalid.
    pub(super) target: pg_sys::Oid,
    /// Role to connect as.
    pub(super) submitter: pg_sys::Oid,
    /// Options as JSON text.
    pub(super) options: String,
    /// Index that an interrupted build left.
    pub(super) index: pg_sys::Oid,
    /// The target, or its table when it is an index.
    pub(super) table: pg_sys::Oid,
    /// Indexes that a clean-up looks at.
    pub(super) touched: Vec<pg_sys::Oid>,
    /// How often it was started.
    pub(super) attempts: i32,
}

/// Whether the extension is installed in this database.
pub(crate) fn is_installed() -> bool {
    // SAFETY: a catalogue look-up.
    unsafe { pg_sys::get_extension_oid(c"pg_pitcrew".as_ptr(), true) != pg_sys::InvalidOid }
}

/// Changes jobs by an UPDATE without RETURNING, and tells who listens which state they are in now.
fn change(update: &str, arguments: &[pgrx::datum::DatumWithOid<'_>]) {
    let query = format!(
        "WITH changed AS ({update} RETURNING id, state) \
         SELECT pg_notify('pitcrew_jobs', json_build_object('id', id, 'state', state)::text) FROM changed"
    );
    spi("pitcrew.jobs", Spi::run_with_args(&query, arguments));
}

/// Marks unfinished rows that were submitted elsewhere: they came with a dump, a clone or a promoted standby.
pub(super) fn mark_orphans() {
    change(
        "UPDATE pitcrew.jobs SET state = 'orphaned', finished_at = clock_timestamp(), \
         error = 'submitted on another server, database or timeline', \
         hint = 'Submit the job again if it is still wanted.' \
         WHERE id IN (SELECT id FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running') \
                      AND origin <> pitcrew.job_origin() FOR UPDATE SKIP LOCKED)",
        &[],
    );
}

/// Fails what was queued past `submit_job` and its bound.
pub(super) fn fail_surplus() {
    change(
        "UPDATE pitcrew.jobs SET state = 'failed', finished_at = clock_timestamp(), sqlstate = '53400', \
         error = 'there were more unfinished maintenance jobs than pitcrew.max_queued_jobs', \
         hint = 'Queue jobs with pitcrew.submit_job().' \
         WHERE id IN (SELECT id FROM pitcrew.jobs WHERE state = 'queued' \
                      AND id > (SELECT id FROM pitcrew.jobs WHERE state = 'queued' ORDER BY id OFFSET $1 - 1 LIMIT 1) FOR UPDATE SKIP LOCKED)",
        &[i64::from(guc::MAX_QUEUED_JOBS.get()).into()],
    );
}

/// Ends queued jobs whose maintenance window is over, and answers those that run and are to be stopped.
pub(super) fn past_their_window() -> Vec<i64> {
    change(
        "UPDATE pitcrew.jobs SET state = 'cancelled', finished_at = clock_timestamp(), sqlstate = '57014', \
         error = 'its maintenance window ended before it started', \
         hint = 'Widen the window, or raise pitcrew.max_parallel_jobs.' \
         WHERE id IN (SELECT id FROM pitcrew.jobs WHERE state = 'queued' AND not_after <= clock_timestamp() FOR UPDATE SKIP LOCKED)",
        &[],
    );
    Spi::connect(|client| {
        let query = "SELECT id FROM pitcrew.jobs WHERE state IN ('waiting_for_lock', 'running') \
                     AND stop_after <= clock_timestamp() ORDER BY id LIMIT 1000";
        let rows = spi("pitcrew.jobs", client.select(query, None, &[]));
        rows.filter_map(|row| spi::<Option<i64>>("pitcrew.jobs", row.get(1)))
            .collect()
    })
}

/// Forgets the oldest finished jobs.
pub(super) fn forget_oldest() {
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "DELETE FROM pitcrew.jobs WHERE id IN ( \
                 SELECT j.id FROM pitcrew.jobs j WHERE j.state NOT IN ('queued', 'waiting_for_lock', 'running') \
                 AND j.id < (SELECT o.id FROM pitcrew.jobs o ORDER BY o.id DESC OFFSET $1 LIMIT 1) \
                 AND NOT (j.kind = 'create_index' AND j.state = 'done' \
                          AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indexrelid = j.index_oid)) \
                 FOR UPDATE SKIP LOCKED)",
            &[KEPT_JOBS.into()],
        ),
    );
}

/// Jobs that may start now, oldest first, at most 1,000.
pub(super) fn to_start() -> Vec<Unfinished> {
    read(include_str!("../../sql/queries/jobs_to_start.sql"))
}

/// Jobs whose rows say that they have a worker, at most 1,000.
pub(super) fn running() -> Vec<Unfinished> {
    read(include_str!("../../sql/queries/jobs_running.sql"))
}

fn read(query: &str) -> Vec<Unfinished> {
    Spi::connect(|client| {
        let rows = spi("pitcrew.jobs", client.select(query, None, &[]));
        rows.map(|row| Unfinished {
            id: spi("pitcrew.jobs", row.get(1)).unwrap_or_default(),
            kind: text::plain(spi("pitcrew.jobs", row.get(2))).unwrap_or_default(),
            target: spi("pitcrew.jobs", row.get(3)).unwrap_or(pg_sys::InvalidOid),
            submitter: spi("pitcrew.jobs", row.get(4)).unwrap_or(pg_sys::InvalidOid),
            options: text::plain(spi("pitcrew.jobs", row.get(5))).unwrap_or_default(),
            index: spi("pitcrew.jobs", row.get(6)).unwrap_or(pg_sys::InvalidOid),
            table: spi("pitcrew.jobs", row.get(7)).unwrap_or(pg_sys::InvalidOid),
            touched: spi("pitcrew.jobs", row.get(8)).unwrap_or_default(),
            attempts: spi("pitcrew.jobs", row.get(9)).unwrap_or_default(),
        })
        .collect()
    })
}

/// Whether a job waits for its time or its turn.
pub(super) fn has_queued() -> bool {
    crate::failure::read_one(
        "pitcrew.jobs",
        "SELECT EXISTS (SELECT 1 FROM pitcrew.jobs WHERE state = 'queued')",
        &[],
    ) == Some(true)
}

/// Takes the cancel requests and returns the unfinished jobs whose requester may cancel them.
pub(super) fn take_cancel_requests() -> Vec<i64> {
    Spi::connect_mut(|client| {
        let query = include_str!("../../sql/queries/take_cancel_requests.sql");
        let rows = spi(
            "pitcrew.job_cancel_requests",
            client.update(query, None, &[]),
        );
        rows.filter_map(|row| spi::<Option<i64>>("pitcrew.job_cancel_requests", row.get(1)))
            .collect()
    })
}

/// A queued job will never start.
pub(super) fn cancel_queued(id: i64) {
    change(
        "UPDATE pitcrew.jobs SET state = 'cancelled', finished_at = clock_timestamp(), sqlstate = '57014', \
         error = 'cancelled before it started', hint = NULL WHERE id = $1 AND state = 'queued'",
        &[id.into()],
    );
}

/// A job is handed to a worker.
pub(super) fn mark_running(id: i64) {
    change(
        "UPDATE pitcrew.jobs SET state = 'running', started_at = clock_timestamp(), attempts = attempts + 1, \
         not_before = NULL, index_oid = NULL, touched = NULL, progress = NULL, eta = NULL, before = NULL, after = NULL, \
         sqlstate = NULL, error = NULL, hint = NULL WHERE id = $1",
        &[id.into()],
    );
}

/// A job goes back to the queue: its worker did not come up, or made room for DROP or CREATE DATABASE.
fn mark_queued(id: i64) {
    change(
        "UPDATE pitcrew.jobs SET state = 'queued', started_at = NULL, attempts = attempts - 1, index_oid = NULL, \
         touched = NULL, progress = NULL, eta = NULL WHERE id = $1",
        &[id.into()],
    );
}

/// A job goes back to the queue until a lock may be free.
fn mark_retry(id: i64, attempts: i32, report: &Report) {
    let backoff =
        f64::from(guc::JOB_LOCK_BACKOFF_MS.get()) * 2_f64.powi((attempts - 1).clamp(0, 30));
    change(
        "UPDATE pitcrew.jobs SET state = 'queued', not_before = clock_timestamp() + make_interval(secs => $2), \
         index_oid = NULL, touched = NULL, progress = NULL, eta = NULL, sqlstate = $3, error = $4, \
         hint = 'It is started again at not_before.' WHERE id = $1",
        &[
            id.into(),
            (backoff.min(MAX_BACKOFF_MS) / 1_000.0).into(),
            report.sqlstate.as_str().into(),
            Text::from(report.message.as_str()).into(),
        ],
    );
}

/// Keeps what a running worker has told so far, so that a clean-up after a crash knows its indexes.
pub(super) fn note_slot(slot: &Slot) {
    let index = (slot.index != pg_sys::InvalidOid).then_some(slot.index);
    let touched = (!slot.touched().is_empty()).then(|| slot.touched().to_vec());
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "UPDATE pitcrew.jobs SET command = COALESCE(NULLIF($2, ''), command), \
             index_oid = COALESCE($3, index_oid), touched = COALESCE($4, touched), \
             before = COALESCE(NULLIF($5, '')::jsonb, before), after = COALESCE(NULLIF($6, '')::jsonb, after) \
             WHERE id = $1",
            &[
                slot.job.into(),
                Text::from(slot.command.as_str()).into(),
                index.into(),
                touched.into(),
                slot.before.as_str().into(),
                slot.after.as_str().into(),
            ],
        ),
    );
}

/// Writes what the server tells of a running job.
pub(super) fn note_watched(slot: &Slot, is_waiting: bool, progress: &str) {
    let state = if is_waiting {
        "waiting_for_lock"
    } else {
        "running"
    };
    let steps = (slot.steps > 1).then(|| i32::from(slot.steps));
    let watched = "UPDATE pitcrew.jobs SET state = $2, \
         progress = $3::jsonb || jsonb_strip_nulls(jsonb_build_object('step', CASE WHEN $5 > 1 THEN $4 END, 'steps', $5)), \
         eta = CASE WHEN ($3::jsonb->>'fraction')::float8 > 0 THEN started_at + \
             (clock_timestamp() - started_at) / ($3::jsonb->>'fraction')::float8 END WHERE id = $1";
    let arguments = [
        slot.job.into(),
        state.into(),
        Text::from(progress).into(),
        i32::from(slot.step).into(),
        steps.into(),
    ];
    // Progress alone is told to nobody: it changes all the time.
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            &format!(
                "WITH old AS (SELECT state FROM pitcrew.jobs WHERE id = $1), changed AS ({watched} RETURNING id, state) \
                 SELECT pg_notify('pitcrew_jobs', json_build_object('id', id, 'state', changed.state)::text) \
                 FROM changed, old WHERE old.state <> changed.state"
            ),
            &arguments,
        ),
    );
}

/// Writes a job's end.
pub(super) fn finish(id: i64, attempts: i32, report: &Report) {
    let state = match report.outcome {
        Outcome::Done => "done",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed | Outcome::Lost | Outcome::Unknown => "failed",
        Outcome::Requeue => return mark_queued(id),
        Outcome::Retry => return mark_retry(id, attempts, report),
    };
    let text = |text: &str| (!text.is_empty()).then(|| Text::from(text));
    let hint =
        text(report.hint.as_str()).or_else(|| hints::of(report.sqlstate.as_str()).map(Text::from));
    change(
        "UPDATE pitcrew.jobs SET state = $2, finished_at = clock_timestamp(), sqlstate = $3, error = $4, \
         hint = nullif(concat_ws(' ', CASE WHEN $2 = 'cancelled' AND stop_after <= clock_timestamp() \
             THEN 'Its maintenance window ended.' ELSE $5 END, \
             (SELECT format('Its index %s is complete and stays: the build was over when the job was ended.', i.indexrelid::regclass) \
              FROM pg_index i WHERE i.indexrelid = index_oid AND i.indisvalid AND $2 <> 'done')), ''), \
         eta = NULL WHERE id = $1",
        &[
            id.into(),
            state.into(),
            text(report.sqlstate.as_str()).into(),
            text(report.message.as_str()).into(),
            hint.into(),
        ],
    );
}
