//! `pitcrew.schedule`, and what helps to write one.

use pg_pitcrew_schedule::{CatchUp, Plan, Timestamp};
use pgrx::prelude::*;
use serde_json::{Value, json};

use super::{moment, now, server_time};
use crate::document::Document;
use crate::failure::{Failure, or_raise, read_one, read_text, spi};
use crate::text::{Text, plain};
use crate::{guc, jobs};

/// Jobs of one schedule.
const MAX_JOBS: usize = 20;

/// Bytes of a schedule's name.
const MAX_NAME_BYTES: usize = 200;

/// The nightly plan, in the order in which it is queued.
const NIGHTLY: [&str; 5] = [
    "vacuum_due",
    "analyze_all_stale",
    "freeze_oldest",
    "rebuild_bloated_indexes",
    "repair_invalid_indexes",
];

/// One job of a schedule, checked.
struct Job {
    kind: String,
    target: Option<pg_sys::Oid>,
    options: Value,
}

/// Makes a schedule, or changes the one of that name. Returns its next run.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.schedule(
    name text, rule text, job jsonb, maintenance_window jsonb DEFAULT NULL, time_zone text DEFAULT NULL,
    jitter_seconds integer DEFAULT 0, catch_up text DEFAULT 'once'
) RETURNS timestamptz
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'schedule_wrapper';
COMMENT ON FUNCTION pitcrew.schedule(text, text, jsonb, jsonb, text, integer, text) IS
    'Makes a schedule, or changes the one of that name, and returns its next run. rule: five or six cron fields ("30 2 * * *", "@daily") or an interval ("15 minutes"). job: {"kind": text, "target": "schema.name", "options": {...}} as for pitcrew.submit_job(), or a list of up to 20; they run as the current role. maintenance_window: {"start": "22:00", "end": "05:00", "days": ["mon", ...], "time_zone": text, "stop_at_end": bool}: what is due outside runs when it opens, what is still queued when it closes is cancelled. time_zone: the session''s unless given. jitter_seconds: 0 to 3600. catch_up: once or none.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn schedule(
    name: Option<Text>,
    rule: Option<Text>,
    job: Option<Document>,
    maintenance_window: Option<Document>,
    time_zone: Option<Text>,
    jitter_seconds: Option<i32>,
    catch_up: Option<Text>,
) -> Option<TimestampWithTimeZone> {
    or_raise(jobs::can_run_jobs());
    let missing = |what: &str| Failure::argument(format!("a schedule needs a {what}"));
    let Text(name) = or_raise(name.ok_or_else(|| missing("name")));
    let Text(rule) = or_raise(rule.ok_or_else(|| missing("rule")));
    let job = or_raise(job.ok_or_else(|| missing("job"))).0;
    let window = maintenance_window.map_or(Value::Null, |Document(window)| window);
    or_raise(good_name(&name));
    let zone = plain(time_zone).unwrap_or_else(session_zone);
    let catch_up = plain(catch_up).unwrap_or_else(|| "once".to_owned());
    or_raise(CatchUp::parse(&catch_up).map_err(Failure::from));
    let jitter = jitter_seconds.unwrap_or(0);
    let now = now();
    let plan = Plan::parse(&name, &rule, &zone, &window, jitter.into(), now);
    let plan = or_raise(plan.map_err(Failure::from));
    let jobs = or_raise(read_jobs(&job));
    or_raise(may_write(&name));
    let next = plan.next(now).and_then(server_time);
    let kinds: Vec<&str> = jobs.iter().map(|job| job.kind.as_str()).collect();
    let targets: Vec<Option<pg_sys::Oid>> = jobs.iter().map(|job| job.target).collect();
    let options = Value::Array(jobs.iter().map(|job| job.options.clone()).collect());
    let window = (!window.is_null()).then_some(Document(window));
    spi(
        "pitcrew.schedule_rows",
        Spi::run_with_args(
            include_str!("../../sql/queries/write_schedule.sql"),
            &[
                Text(name).into(),
                Text(rule).into(),
                Text(zone).into(),
                window.into(),
                jitter.into(),
                Text(catch_up).into(),
                kinds.into(),
                targets.into(),
                Document(options).into(),
                next.into(),
            ],
        ),
    );
    jobs::after_commit();
    next
}

/// The nightly plan: what most databases want, in one window.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.schedule_nightly(
    maintenance_window jsonb DEFAULT '{"start": "01:00", "end": "05:00"}', time_zone text DEFAULT NULL
) RETURNS timestamptz
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'schedule_nightly_wrapper';
COMMENT ON FUNCTION pitcrew.schedule_nightly(jsonb, text) IS
    'Makes the schedule "nightly", which in each window runs vacuum_due, analyze_all_stale, freeze_oldest, rebuild_bloated_indexes and repair_invalid_indexes over what the current role may maintain. Returns its next run.';
"#)]
fn schedule_nightly(
    maintenance_window: Option<Document>,
    time_zone: Option<Text>,
) -> Option<TimestampWithTimeZone> {
    let window = or_raise(maintenance_window.ok_or_else(|| {
        Failure::argument("the nightly plan needs a maintenance window").hint(
            "For example {\"start\": \"01:00\", \"end\": \"05:00\"}; the session's time zone counts unless another is given.",
        )
    }));
    let start = window.0.get("start").and_then(Value::as_str);
    // What is wrong with a window without a start is said below.
    let (hour, minute) = start
        .and_then(|start| start.split_once(':'))
        .unwrap_or(("0", "0"));
    let days = window.0.get("days").and_then(Value::as_array);
    let days = days.map_or_else(
        || "*".to_owned(),
        |days| {
            days.iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(",")
        },
    );
    let zone = window.0.get("time_zone").and_then(Value::as_str);
    let zone = zone.map(str::to_owned).or_else(|| plain(time_zone));
    // A window that makes no sense makes no pattern either: its own fault is told first.
    let checked = Plan::parse(
        "nightly",
        "@daily",
        &zone.clone().unwrap_or_else(session_zone),
        &window.0,
        0,
        now(),
    );
    or_raise(checked.map_err(Failure::from));
    let jobs = NIGHTLY.map(|kind| json!({ "kind": kind }));
    schedule(
        Some("nightly".into()),
        Some(format!("{minute} {hour} * * {days}").into()),
        Some(Document(Value::Array(jobs.to_vec()))),
        Some(window),
        zone.map(Text),
        None,
        None,
    )
}

/// The next runs of a rule and window; nothing is scheduled.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.schedule_preview(
    rule text, maintenance_window jsonb DEFAULT NULL, time_zone text DEFAULT NULL,
    after timestamptz DEFAULT pg_catalog.now(), runs integer DEFAULT 5
) RETURNS TABLE (run_at timestamptz)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'schedule_preview_wrapper';
COMMENT ON FUNCTION pitcrew.schedule_preview(text, jsonb, text, timestamptz, integer) IS
    'The next 1 to 1000 runs of a rule and a window, without scheduling anything; intervals are reckoned from after.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn schedule_preview(
    rule: Option<Text>,
    maintenance_window: Option<Document>,
    time_zone: Option<Text>,
    after: Option<TimestampWithTimeZone>,
    runs: Option<i32>,
) -> TableIterator<'static, (name!(run_at, Option<TimestampWithTimeZone>),)> {
    let Text(rule) = or_raise(rule.ok_or_else(|| Failure::argument("a schedule needs a rule")));
    let window = maintenance_window.map_or(Value::Null, |Document(window)| window);
    let runs = runs.unwrap_or(5);
    if !(1..=1_000).contains(&runs) {
        Failure::argument("runs are 1 to 1000").raise();
    }
    let mut at = after.map_or_else(now, |after| moment(after.into_inner()));
    if [Timestamp::MIN, Timestamp::MAX].contains(&at) {
        Failure::argument("after must be a moment before the year 10000").raise();
    }
    let zone = plain(time_zone).unwrap_or_else(session_zone);
    let plan = or_raise(Plan::parse("", &rule, &zone, &window, 0, at).map_err(Failure::from));
    let mut rows = Vec::new();
    for _ in 0..runs {
        pgrx::check_for_interrupts!();
        let Some(next) = plan.next(at) else { break };
        rows.push((server_time(next),));
        at = next;
    }
    TableIterator::new(rows)
}

fn session_zone() -> String {
    read_text("the settings", "SELECT current_setting('TimeZone')", &[]).unwrap_or_default()
}

fn good_name(name: &str) -> Result<(), Failure> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    Err(Failure::argument(format!(
        "a schedule's name has 1 to {MAX_NAME_BYTES} bytes, not {}",
        name.len()
    )))
}

/// Whether there is room for another schedule, or the one of that name is the current role's to change.
fn may_write(name: &str) -> Result<(), Failure> {
    if let Some(is_own) = super::manage::is_own(name) {
        return super::manage::own(name, Some(is_own));
    }
    let most = guc::MAX_SCHEDULES.get();
    let query = "SELECT count(*) FROM (SELECT 1 FROM pitcrew.schedule_rows LIMIT $1) s";
    let there: Option<i64> = read_one("pitcrew.schedule_rows", query, &[most.into()]);
    if there.unwrap_or_default() < i64::from(most) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        format!("there are {most} schedules already"),
    )
    .hint("Remove some with pitcrew.unschedule(), or raise pitcrew.max_schedules."))
}

fn read_jobs(value: &Value) -> Result<Vec<Job>, Failure> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if !(1..=MAX_JOBS).contains(&list.len()) {
        return Err(Failure::argument(format!(
            "a schedule has 1 to {MAX_JOBS} jobs, not {}",
            list.len()
        )));
    }
    list.iter().map(read_job).collect()
}

fn read_job(value: &Value) -> Result<Job, Failure> {
    let wrong = |what: String| {
        Failure::argument(what).hint(
            "For example {\"kind\": \"vacuum\", \"target\": \"public.orders\", \"options\": {\"analyze\": true}}.",
        )
    };
    let Value::Object(map) = value else {
        return Err(wrong("a job must be a JSON object".to_owned()));
    };
    let known = ["kind", "target", "options"];
    if let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(format!("a job has no \"{unknown}\"")));
    }
    let kind = map.get("kind").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| wrong("a job needs a \"kind\"".to_owned()))?;
    let target = match map.get("target") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(relation(name)?),
        Some(_) => return Err(wrong("a job's \"target\" must be a name".to_owned())),
    };
    let options = match map.get("options") {
        None => Value::Null,
        Some(options) => options.clone(),
    };
    Ok(Job {
        kind: kind.to_owned(),
        target,
        options: jobs::check_repeated(kind, target, &options)?,
    })
}

/// A relation by its qualified name: the caller's search_path is not ours.
fn relation(name: &str) -> Result<pg_sys::Oid, Failure> {
    let found: Option<pg_sys::Oid> = read_one(
        "pg_class",
        "SELECT to_regclass($1)::oid",
        &[Text::from(name).into()],
    );
    found.ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
        .hint("Write its schema too, as in \"public.orders\".")
    })
}
