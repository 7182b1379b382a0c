//! What the coordinator reads from and writes to `pitcrew.jobs`. Each function runs inside a transaction of its caller.

use pgrx::prelude::*;

use super::board::{Outcome, Report, Slot};
use crate::failure::spi;

/// A queued job.
pub(super) struct Queued {
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
    /// Index that an interrupted build left; only set for unfinished jobs.
    pub(super) index: pg_sys::Oid,
}

/// Whether the extension is installed in this database.
pub(super) fn is_installed() -> bool {
    // SAFETY: a catalogue look-up.
    unsafe { pg_sys::get_extension_oid(c"pg_pitcrew".as_ptr(), true) != pg_sys::InvalidOid }
}

/// Marks unfinished rows that were submitted elsewhere: they came with a dump, a clone or a promoted standby.
pub(super) fn mark_orphans() {
    spi(
        "pitcrew.jobs",
        Spi::run(
            "UPDATE pitcrew.jobs SET state = 'orphaned', finished_at = clock_timestamp(), \
             error = 'submitted on another server, database or timeline' \
             WHERE state IN ('queued', 'running') AND origin <> pitcrew.job_origin()",
        ),
    );
}

/// Jobs in a state, oldest first, at most 1,000.
pub(super) fn in_state(state: &str) -> Vec<Queued> {
    Spi::connect(|client| {
        let rows = spi(
            "pitcrew.jobs",
            client.select(
                include_str!("../../sql/queries/jobs_in_state.sql"),
                None,
                &[state.into()],
            ),
        );
        rows.map(|row| Queued {
            id: spi("pitcrew.jobs", row.get(1)).unwrap_or_default(),
            kind: spi("pitcrew.jobs", row.get(2)).unwrap_or_default(),
            target: spi("pitcrew.jobs", row.get(3)).unwrap_or(pg_sys::InvalidOid),
            submitter: spi("pitcrew.jobs", row.get(4)).unwrap_or(pg_sys::InvalidOid),
            options: spi("pitcrew.jobs", row.get(5)).unwrap_or_default(),
            index: spi("pitcrew.jobs", row.get(6)).unwrap_or(pg_sys::InvalidOid),
        })
        .collect()
    })
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
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "UPDATE pitcrew.jobs SET state = 'cancelled', finished_at = clock_timestamp(), sqlstate = '57014', \
             error = 'cancelled before it started' WHERE id = $1 AND state = 'queued'",
            &[id.into()],
        ),
    );
}

/// A job is handed to a worker.
pub(super) fn mark_running(id: i64) {
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "UPDATE pitcrew.jobs SET state = 'running', started_at = clock_timestamp(), index_oid = NULL WHERE id = $1",
            &[id.into()],
        ),
    );
}

/// A job goes back to the queue: its worker did not come up, or made room for DROP or CREATE DATABASE.
pub(super) fn mark_queued(id: i64) {
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "UPDATE pitcrew.jobs SET state = 'queued', started_at = NULL, index_oid = NULL WHERE id = $1",
            &[id.into()],
        ),
    );
}

/// Keeps what a running worker has told so far, so that a clean-up after a crash knows its index.
pub(super) fn note_progress(slot: &Slot) {
    let index = (slot.index != pg_sys::InvalidOid).then_some(slot.index);
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "UPDATE pitcrew.jobs SET command = COALESCE(NULLIF($2, ''), command), \
             index_oid = COALESCE($3, index_oid) WHERE id = $1",
            &[slot.job.into(), slot.command.as_str().into(), index.into()],
        ),
    );
}

/// Writes a job's end.
pub(super) fn finish(id: i64, report: &Report) {
    let state = match report.outcome {
        Outcome::Done => "done",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
        Outcome::Lost | Outcome::Unknown => "lost",
        Outcome::Requeue => return mark_queued(id),
    };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    spi(
        "pitcrew.jobs",
        Spi::run_with_args(
            "UPDATE pitcrew.jobs SET state = $2, finished_at = clock_timestamp(), sqlstate = $3, error = $4 \
             WHERE id = $1",
            &[
                id.into(),
                state.into(),
                text(report.sqlstate.as_str()).into(),
                text(report.message.as_str()).into(),
            ],
        ),
    );
}
