//! `pitcrew.submit_job` and `pitcrew.cancel_job`: they write a row as the caller and return; nothing waits here (a
//! caller that waited would hold the snapshot that CREATE INDEX CONCURRENTLY waits for).

use pgrx::prelude::*;

use super::board::MAX_OPTIONS_BYTES;
use super::spec::Spec;
use super::{command, plan, wake};
use crate::document::Document;
use crate::failure::{Failure, or_raise, read_one, spi};
use crate::text::Text;
use crate::{PRELOAD_LINE, compat, guc, is_preloaded};

/// Where a job belongs: system identifier, database and timeline. A dump, a clone or a promoted standby differs in
/// one of them.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.job_origin() RETURNS text
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'job_origin_wrapper';
COMMENT ON FUNCTION pitcrew.job_origin() IS
    'System identifier, database OID and timeline of this database: where a job submitted now belongs.';
"#)]
pub(super) fn job_origin() -> String {
    // SAFETY: plain reads of server state; the timeline may be asked for outside recovery only.
    unsafe {
        let timeline = if pg_sys::RecoveryInProgress() {
            0
        } else {
            pg_sys::GetWALInsertionTimeLine()
        };
        format!(
            "{}/{}/{timeline}",
            pg_sys::GetSystemIdentifier(),
            pg_sys::MyDatabaseId.to_u32()
        )
    }
}

/// Queues a maintenance job and returns its id. It starts when the transaction commits.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.submit_job(kind text, target regclass DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS bigint
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'submit_job_wrapper';
COMMENT ON FUNCTION pitcrew.submit_job(text, regclass, jsonb) IS
    'Queues a maintenance job, run by a background worker as the current role once this transaction commits. Returns pitcrew.jobs.id, of the unfinished job when the same role queued the same one before. Kinds: vacuum {"full", "freeze", "analyze": bool, "parallel": 0 to 1024, "index_cleanup": bool or "auto"}, analyze, reindex (a table or an index, concurrently), create_index {"columns": [...], "include": [...], "name": text} or {"definition": text, "name": text} (concurrently), drop_index (of a finished create_index job), refresh_matview {"concurrently": bool}, statistics {"columns": [...], "target": -1 to 10000} or {"columns": [...], "kinds": [some of ndistinct, dependencies, mcv], "name": text} (and ANALYZE of these columns); without a target, each with {"limit": 1 to 1000}: analyze_all_stale, vacuum_due, freeze_oldest, rebuild_bloated_indexes {"min_bloat_percent", "min_size_mb": number}, repair_invalid_indexes.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn submit_job(kind: Option<Text>, target: Option<pg_sys::Oid>, options: Option<Document>) -> i64 {
    or_raise(can_run_jobs());
    let Text(kind) = or_raise(kind.ok_or_else(|| Failure::argument("a job needs a kind")));
    let options = options.map_or(serde_json::Value::Null, |Document(value)| value);
    let spec = or_raise(Spec::parse(&kind, &options));
    // SAFETY: plain read of the current role.
    let role = unsafe { pg_sys::GetUserId() };
    or_raise(can_log_in(role));
    let text = or_raise(check(&spec, target, role));

    // Two jobs that do the same are one, however their options are written.
    let options = spec.options();
    or_raise(short_enough(&options));
    or_raise(queue_has_room());
    let id = insert(&kind, target, options, text);
    wake::after_commit();
    id
}

/// What the job runs, refused where it is sure to fail.
fn check(
    spec: &Spec,
    target: Option<pg_sys::Oid>,
    role: pg_sys::Oid,
) -> Result<Option<String>, Failure> {
    if matches!(spec, Spec::Many(_)) {
        // It chooses when it starts: what is said now may not be true then. A target is refused here.
        plan::steps(spec, target)?;
        return Ok(None);
    }
    let command = command::build(spec, target, role)?;
    command.refuse_taken_name(target)?;
    plan::steps(spec, target)?;
    Ok(Some(command.text))
}

/// Whether the current role may have this job run again and again. Answers its options as `submit_job` would keep them.
///
/// # Errors
/// What `submit_job` would say now, and a refusal of what can be done only once.
pub(crate) fn check_repeated(
    kind: &str,
    target: Option<pg_sys::Oid>,
    options: &serde_json::Value,
) -> Result<serde_json::Value, Failure> {
    let spec = Spec::parse(kind, options)?;
    if matches!(spec, Spec::CreateIndex { .. } | Spec::DropIndex) {
        return Err(
            Failure::argument(format!("a job of kind \"{kind}\" can be done only once"))
                .hint("Queue it with pitcrew.submit_job()."),
        );
    }
    // SAFETY: plain read of the current role.
    let role = unsafe { pg_sys::GetUserId() };
    can_log_in(role)?;
    check(&spec, target, role)?;
    let options = spec.options();
    short_enough(&options)?;
    Ok(options)
}

fn short_enough(options: &serde_json::Value) -> Result<(), Failure> {
    if options.to_string().len() <= MAX_OPTIONS_BYTES {
        return Ok(());
    }
    Err(Failure::argument(format!(
        "job options are longer than {MAX_OPTIONS_BYTES} bytes"
    )))
}

fn queue_has_room() -> Result<(), Failure> {
    let most = guc::MAX_QUEUED_JOBS.get();
    // Counts no further than it has to.
    let query = "SELECT count(*) FROM (SELECT 1 FROM pitcrew.jobs \
                 WHERE state IN ('queued', 'waiting_for_lock', 'running') LIMIT $1) j";
    let unfinished: Option<i64> = read_one("pitcrew.jobs", query, &[most.into()]);
    if unfinished.unwrap_or_default() < i64::from(most) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        format!("there are {most} unfinished maintenance jobs already"),
    )
    .hint("Wait until some are done, cancel some, or raise pitcrew.max_queued_jobs."))
}

/// Writes the row, or finds the unfinished one that says the same.
fn insert(
    kind: &str,
    target: Option<pg_sys::Oid>,
    options: serde_json::Value,
    text: Option<String>,
) -> i64 {
    let inserted: Option<i64> = spi(
        "the new job",
        Spi::get_one_with_args(
            "WITH new AS (INSERT INTO pitcrew.jobs (kind, target, options, command) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING RETURNING id), told AS (SELECT id, pg_notify('pitcrew_jobs', \
             json_build_object('id', id, 'state', 'queued')::text) FROM new) SELECT (SELECT id FROM told)",
            &[
                kind.into(),
                target.into(),
                Document(options.clone()).into(),
                text.map(Text).into(),
            ],
        ),
    );
    let found = inserted.or_else(|| {
        spi(
            "the unfinished job",
            Spi::get_one_with_args(
                "SELECT (SELECT max(id) FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running') \
                 AND submitter::oid = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND kind = $1 \
                 AND target::oid IS NOT DISTINCT FROM $2::oid AND options = $3 AND origin = pitcrew.job_origin() AND cancelled_at IS NULL \
                 AND not_after IS NULL AND stop_after IS NULL)",
                &[kind.into(), target.into(), Document(options).into()],
            ),
        )
    });
    if inserted.is_none() && found.is_some_and(is_being_cancelled) {
        Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            "the same job is being cancelled",
        )
        .hint("Submit it again in a moment.")
        .raise()
    }
    or_raise(found.ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "the same job was queued and ended meanwhile",
        )
        .hint("Submit it again.")
    }))
}

/// Whether somebody asked for that and the coordinator has not seen it yet.
fn is_being_cancelled(job: i64) -> bool {
    let asked: Option<bool> = read_one(
        "pitcrew.job_cancel_requests",
        "SELECT EXISTS (SELECT 1 FROM pitcrew.job_cancel_requests WHERE job_id = $1)",
        &[job.into()],
    );
    asked == Some(true)
}

/// Asks for a job to be cancelled: a queued one never starts, a running one is interrupted.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.cancel_job(id bigint) RETURNS boolean
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'cancel_job_wrapper';
COMMENT ON FUNCTION pitcrew.cancel_job(bigint) IS
    'Asks for a job to be cancelled once this transaction commits. True when it was queued or running; its submitter, members of that role and superusers may ask.';
"#)]
fn cancel_job(id: i64) -> bool {
    or_raise(can_run_jobs());
    let query = include_str!("../../sql/queries/cancellable_job.sql");
    let (unfinished, permitted): (Option<bool>, Option<bool>) = Spi::connect(|client| {
        let rows = spi("pitcrew.jobs", client.select(query, Some(1), &[id.into()])).first();
        if rows.is_empty() {
            return (None, None);
        }
        (
            spi("pitcrew.jobs", rows.get(1)),
            spi("pitcrew.jobs", rows.get(2)),
        )
    });
    match (unfinished, permitted) {
        (None, _) => Failure::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("there is no job {id}"),
        )
        .raise(),
        (_, Some(false) | None) => Failure::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("job {id} was submitted by another role"),
        )
        .raise(),
        (Some(false), _) => false,
        (Some(true), _) => {
            spi(
                "the cancel request",
                Spi::run_with_args(
                    "INSERT INTO pitcrew.job_cancel_requests (job_id) VALUES ($1)",
                    &[id.into()],
                ),
            );
            wake::after_commit();
            true
        }
    }
}

pub(crate) fn can_run_jobs() -> Result<(), Failure> {
    // SAFETY: a plain read of shared state.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "maintenance jobs cannot be queued on a replica",
        )
        .hint("Submit the job on the primary; its effect is replicated."));
    }
    if !is_preloaded() {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "maintenance jobs need pg_pitcrew to be preloaded",
        )
        .hint(format!(
            "Put {PRELOAD_LINE} into postgresql.conf and restart the server."
        )));
    }
    Ok(())
}

fn can_log_in(role: pg_sys::Oid) -> Result<(), Failure> {
    if compat::NOLOGIN_WORKERS {
        return Ok(());
    }
    let can: Option<bool> = read_one(
        "pg_roles",
        "SELECT (SELECT rolcanlogin FROM pg_roles WHERE oid = $1)",
        &[role.into()],
    );
    if can == Some(true) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
        "a role that cannot log in cannot run maintenance jobs on this server version",
    )
    .hint("The job's worker connects as the submitter: use a role with LOGIN, or PostgreSQL 17 or newer."))
}
