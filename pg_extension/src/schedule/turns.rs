//! What the coordinator does with schedules whose time has come. Runs inside a transaction of its caller, as the
//! bootstrap superuser, over rows that any operator may have written: nothing here trusts them.

use pg_pitcrew_schedule::{CatchUp, Plan, Problem, Timestamp, Turn};
use pgrx::prelude::*;
use serde_json::Value;

use super::{moment, now, server_time};
use crate::failure::{read_one, spi};
use crate::guc;
use crate::jobs::process;
use crate::text::{Text, plain};

/// What is said of an error in `pitcrew.schedule_rows`.
const TABLE: &str = "pitcrew.schedule_rows";

/// A schedule whose time has come.
struct Due {
    name: String,
    rule: String,
    time_zone: String,
    window: Option<String>,
    jitter_s: i64,
    catch_up: String,
    created_at: Timestamp,
    next_run_at: Option<Timestamp>,
    run_now: bool,
    is_running: bool,
    may_queue: bool,
    /// Some of its jobs can be done only once.
    is_once: bool,
}

/// Queues the jobs of schedules that are due. Answers when the next one is, in the server's time.
pub(crate) fn take_turns() -> Option<pg_sys::TimestampTz> {
    // A library that is newer than the extension's objects finds none.
    let is_there: Option<bool> = read_one(
        TABLE,
        "SELECT to_regclass('pitcrew.schedule_rows') IS NOT NULL",
        &[],
    );
    if is_there != Some(true) {
        return None;
    }
    pause_foreign();
    pause_surplus();
    for due in due() {
        // One that somebody's open transaction is in the way of does not keep the others waiting.
        process::attempt("a schedule", || take_turn(&due));
    }
    let next: Option<TimestampWithTimeZone> = read_one(
        TABLE,
        "SELECT min(next_run_at) FROM pitcrew.schedule_rows WHERE paused_at IS NULL",
        &[],
    );
    next.map(TimestampWithTimeZone::into_inner)
}

/// Rows that came with a dump, a clone or a promoted standby wait until somebody wants them here.
fn pause_foreign() {
    spi(
        TABLE,
        Spi::run(
            "UPDATE pitcrew.schedule_rows SET paused_at = clock_timestamp(), run_now = false, \
             paused_because = 'made on another server, database or timeline', \
             hint = 'SELECT pitcrew.resume_schedule(' || quote_literal(name) || ') runs it here.' \
             WHERE paused_at IS NULL AND origin <> pitcrew.job_origin()",
        ),
    );
}

/// Rows that were written past `pitcrew.schedule` and its bound.
fn pause_surplus() {
    spi(
        TABLE,
        Spi::run_with_args(
            "UPDATE pitcrew.schedule_rows SET paused_at = clock_timestamp(), run_now = false, sqlstate = '53400', \
             paused_because = 'there were more schedules than pitcrew.max_schedules', \
             hint = 'Remove some, or raise pitcrew.max_schedules.' \
             WHERE name IN (SELECT s.name FROM pitcrew.schedule_rows s WHERE s.paused_at IS NULL ORDER BY s.created_at, s.name OFFSET $1)",
            &[i64::from(guc::MAX_SCHEDULES.get()).into()],
        ),
    );
}

fn due() -> Vec<Due> {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/due_schedules.sql");
        let rows = spi(TABLE, client.select(query, None, &[]));
        let time = |time: TimestampWithTimeZone| moment(time.into_inner());
        rows.map(|row| Due {
            name: plain(spi(TABLE, row.get(1))).unwrap_or_default(),
            rule: plain(spi(TABLE, row.get(2))).unwrap_or_default(),
            time_zone: plain(spi(TABLE, row.get(3))).unwrap_or_default(),
            window: plain(spi(TABLE, row.get(4))),
            jitter_s: spi(TABLE, row.get(5)).unwrap_or_default(),
            catch_up: plain(spi(TABLE, row.get(6))).unwrap_or_default(),
            created_at: spi(TABLE, row.get(7)).map_or_else(now, time),
            next_run_at: spi(TABLE, row.get(8)).map(time),
            run_now: spi(TABLE, row.get(9)).unwrap_or_default(),
            is_running: spi(TABLE, row.get(10)).unwrap_or_default(),
            may_queue: spi(TABLE, row.get(11)).unwrap_or_default(),
            is_once: spi(TABLE, row.get(12)).unwrap_or_default(),
        })
        .collect()
    })
}

fn take_turn(due: &Due) {
    let now = now();
    let (plan, catch_up) = match read(due) {
        Ok(read) => read,
        Err(problem) => return pause(due, "22023", &problem.to_string(), &problem.hint()),
    };
    let next = plan.next(now).and_then(server_time);
    let turn = match due.next_run_at {
        _ if due.run_now && due.is_running => Turn::Running,
        _ if due.run_now => Turn::Run,
        None if next.is_none() => {
            return pause(
                due,
                "22023",
                "no date is left that it is due on",
                "Change its rule with pitcrew.schedule().",
            );
        }
        // New here, or written past `pitcrew.schedule`: it begins now.
        None => return note(due, next, ""),
        Some(at) => plan.turn(at, now, catch_up, due.is_running),
    };
    match turn {
        Turn::Run if !due.may_queue => pause(
            due,
            "42501",
            "its owner may no longer queue jobs",
            "Run pitcrew.grant_access() with level operator for the owner, then pitcrew.resume_schedule().",
        ),
        // Written past `pitcrew.schedule`, which refuses it.
        Turn::Run if due.is_once => pause(
            due,
            "22023",
            "jobs that create or drop an index can be done only once",
            "Queue them with pitcrew.submit_job(), and change the schedule with pitcrew.schedule().",
        ),
        Turn::Run => {
            let end = plan.opening(now).and_then(|open| server_time(open.end));
            let stop = end.filter(|_| plan.stops_at_end());
            let query = include_str!("../../sql/queries/run_schedule.sql");
            let arguments = [
                Text::from(due.name.as_str()).into(),
                next.into(),
                end.into(),
                stop.into(),
            ];
            spi(TABLE, Spi::run_with_args(query, &arguments));
        }
        Turn::Running => note(due, next, ", skipped = skipped + 1"),
        Turn::Missed => note(due, next, ", missed = missed + 1"),
        Turn::Later(at) => note(due, server_time(at), ""),
    }
}

fn read(due: &Due) -> Result<(Plan, CatchUp), Problem> {
    let window = due.window.as_deref().unwrap_or("null");
    let window = serde_json::from_str(window).unwrap_or(Value::Null);
    let plan = Plan::parse(
        &due.name,
        &due.rule,
        &due.time_zone,
        &window,
        due.jitter_s,
        due.created_at,
    )?;
    Ok((plan, CatchUp::parse(&due.catch_up)?))
}

/// Writes the next run. Where there is none the next look at the row pauses it.
fn note(due: &Due, next: Option<TimestampWithTimeZone>, counted: &str) {
    let query = format!(
        "UPDATE pitcrew.schedule_rows SET next_run_at = $2, run_now = false{counted} WHERE name = $1"
    );
    spi(
        TABLE,
        Spi::run_with_args(&query, &[Text::from(due.name.as_str()).into(), next.into()]),
    );
}

fn pause(due: &Due, sqlstate: &str, because: &str, hint: &str) {
    spi(
        TABLE,
        Spi::run_with_args(
            "UPDATE pitcrew.schedule_rows SET paused_at = clock_timestamp(), run_now = false, sqlstate = $2, \
             paused_because = $3, hint = $4 WHERE name = $1",
            &[
                Text::from(due.name.as_str()).into(),
                sqlstate.into(),
                Text::from(because).into(),
                Text::from(hint).into(),
            ],
        ),
    );
}
