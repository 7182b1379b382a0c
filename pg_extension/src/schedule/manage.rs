//! What is done with a schedule that is there. Each function changes the row as the caller, whom row security keeps to
//! schedules of roles that it is a member of.

use pgrx::prelude::*;

use crate::failure::{Failure, on_primary, or_raise, read_one, read_text, spi};
use crate::jobs;
use crate::text::Text;

/// Removes a schedule. Jobs that it queued go on.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.unschedule(name text) RETURNS void
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'unschedule_wrapper';
COMMENT ON FUNCTION pitcrew.unschedule(text) IS 'Removes a schedule. Jobs that it queued go on: pitcrew.cancel_job() ends them.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn unschedule(name: Text) {
    let name = name.0.as_str();
    change(
        name,
        "DELETE FROM pitcrew.schedule_rows WHERE name = $1",
        &[Text::from(name).into()],
    );
}

/// Pauses a schedule.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.pause_schedule(name text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'pause_schedule_wrapper';
COMMENT ON FUNCTION pitcrew.pause_schedule(text, text) IS 'Pauses a schedule until pitcrew.resume_schedule(). Jobs that it queued go on.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn pause_schedule(name: Option<Text>, reason: Option<Text>) {
    let Text(name) = or_raise(name.ok_or_else(|| Failure::argument("a schedule's name is needed")));
    let name = name.as_str();
    change(
        name,
        "UPDATE pitcrew.schedule_rows SET paused_at = clock_timestamp(), \
         paused_because = coalesce($2, 'paused by ' || current_user) WHERE name = $1",
        &[Text::from(name).into(), reason.into()],
    );
}

/// Takes a schedule up again, here.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.resume_schedule(name text) RETURNS void
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'resume_schedule_wrapper';
COMMENT ON FUNCTION pitcrew.resume_schedule(text) IS
    'Takes up a schedule that is paused, also one that came with a dump, a clone or a promoted standby: its owner and its targets are those of the same name here. What was due meanwhile is not made up for; a run that pitcrew.run_schedule() asked for before the pause is done.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn resume_schedule(name: Text) {
    let name = name.0.as_str();
    or_raise(jobs::can_run_jobs());
    or_raise(on_primary());
    or_raise(own(name, is_own(name)));
    or_raise(has_what_it_needs(name));
    // Without a next run the coordinator reckons it from now.
    change(
        name,
        include_str!("../../sql/queries/resume_schedule.sql"),
        &[Text::from(name).into()],
    );
}

/// # Errors
/// Its owner is gone, or it came from another server and does not find what it is about.
fn has_what_it_needs(name: &str) -> Result<(), Failure> {
    let needs = |query: &str| read_text("pitcrew.schedule_rows", query, &[Text::from(name).into()]);
    let hint = "Make it, or make the schedule anew: pitcrew.unschedule(), then pitcrew.schedule().";
    let query = "SELECT (SELECT owner_name FROM pitcrew.schedule_rows \
                 WHERE name = $1 AND pitcrew.schedule_owner(owner, owner_name, origin) IS NULL)";
    if let Some(owner) = needs(query) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("role \"{owner}\", which schedule \"{name}\" runs as, does not exist"),
        )
        .hint(hint));
    }
    let query = "SELECT (SELECT min(t.name) FROM pitcrew.schedule_rows s, unnest(s.target_names) t (name) \
                 WHERE s.name = $1 AND s.origin <> pitcrew.job_origin() AND to_regclass(t.name) IS NULL)";
    if let Some(target) = needs(query) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("relation {target}, which schedule \"{name}\" is about, does not exist"),
        )
        .hint(hint));
    }
    Ok(())
}

/// Makes a schedule due at once.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.run_schedule(name text) RETURNS void
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'run_schedule_wrapper';
COMMENT ON FUNCTION pitcrew.run_schedule(text) IS
    'Queues the jobs of a schedule once this transaction commits, whatever its rule and window say; left out when its last jobs are unfinished.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn run_schedule(name: Text) {
    let name = name.0.as_str();
    or_raise(jobs::can_run_jobs());
    let query = "SELECT (SELECT paused_because FROM pitcrew.schedules WHERE name = $1 AND paused_at IS NOT NULL)";
    if let Some(because) = read_text("pitcrew.schedules", query, &[Text::from(name).into()]) {
        Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("schedule \"{name}\" is paused: {because}"),
        )
        .hint("Take it up again with pitcrew.resume_schedule().")
        .raise();
    }
    change(
        name,
        "UPDATE pitcrew.schedule_rows SET run_now = true WHERE name = $1",
        &[Text::from(name).into()],
    );
}

/// Changes a schedule of the caller's and has the coordinator look at it.
fn change(name: &str, query: &str, arguments: &[pgrx::datum::DatumWithOid<'_>]) {
    or_raise(on_primary());
    or_raise(own(name, is_own(name)));
    spi(
        "pitcrew.schedule_rows",
        Spi::run_with_args(query, arguments),
    );
    if crate::is_preloaded() {
        jobs::after_commit();
    }
}

/// Whether the schedule is of a role that the current one has the rights of; `None` without such a schedule.
pub(super) fn is_own(name: &str) -> Option<bool> {
    // One whose owner is gone is a superuser's.
    let query = "SELECT (SELECT coalesce(pg_has_role(pitcrew.schedule_owner(owner, owner_name, origin), 'USAGE'), \
                 (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)) FROM pitcrew.schedule_rows WHERE name = $1)";
    read_one("pitcrew.schedule_rows", query, &[Text::from(name).into()])
}

pub(super) fn own(name: &str, is_own: Option<bool>) -> Result<(), Failure> {
    match is_own {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("schedule \"{name}\" belongs to another role"),
        )),
        None => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("there is no schedule \"{name}\""),
        )
        .hint("pitcrew.schedules lists them.")),
    }
}
