//! What history costs: processor time of the sampler, and what a week takes on disk.
//!
//! 2,000 statements and 2,000 relations (1,000 tables with an index each), of which 20 % and 10 % change from tick to tick. A
//! day of 288 ticks is taken one right after the other, each with work of its own before it; then the day is dated back and
//! merged into hours. From that a week is extrapolated: one day as it is and six of hours, and a tick every five minutes.

use std::time::Instant;

use pitcrew_stack::bench::{Figure, Interval, interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Postgres, Progress, Result};
use tokio_postgres::{Client, NoTls};

const STATEMENTS: usize = 2_000;
const TABLES: usize = 1_000;
const TICKS: usize = 288;
/// Seconds between two ticks in life.
const INTERVAL_S: f64 = 300.0;
/// Sessions that are looked at each second.
const SESSIONS: usize = 50;
/// What the figures have to stay within.
const BARS: [(&str, &str, f64); 2] = [
    ("sampler_core_percent", "%", 0.5),
    ("history_mb_per_week", "MB", 50.0),
];

/// Both figures, of a server of their own whose sampler does nothing but what it is asked for.
pub(super) fn run(postgres: &Postgres, signals: &Signals) -> Result<Vec<Figure>> {
    postgres.create_database("history")?;
    postgres.run(
        "history",
        &[
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
            "CREATE EXTENSION pg_pitcrew",
            &format!(
                "DO $$ BEGIN FOR i IN 1..{TABLES} LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, n int, note text)', i); \
                 EXECUTE format('INSERT INTO t%s SELECT g, g, repeat(''x'', 100) FROM generate_series(1, 100) g', i); END LOOP; END $$"
            ),
            WORK,
            "SELECT pg_stat_statements_reset()",
        ],
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Extension(error.to_string()))?;
    let url = postgres.socket_url("postgres", "history");
    let [percent, mb] = runtime.block_on(day(postgres, &url, signals))?;
    Ok(BARS
        .iter()
        .zip([percent, mb])
        .map(|((figure, unit, bar), reading)| {
            Progress::Print.say(format!("{figure}: the bar is {bar} {unit}"));
            Figure::own(figure, unit, reading)
        })
        .collect())
}

/// `work(statements, tables, seed)`: statements of 2,000 shapes, from 1 to 20 times each, that read different numbers of rows;
/// and tables that are read through their index and written.
const WORK: &str = "CREATE FUNCTION work(statements int, tables int, seed float8) RETURNS void LANGUAGE plpgsql AS $$ \
    DECLARE shape int; BEGIN PERFORM setseed(seed); \
    FOR shape IN SELECT s FROM generate_series(0, 1999) s ORDER BY random() LIMIT statements LOOP \
        FOR again IN 1..1 + (random() * 19)::int LOOP \
            EXECUTE 'SELECT count(*)' || (SELECT string_agg(CASE WHEN shape & (1 << b) <> 0 THEN ' + 1' ELSE ' - 1' END, '') FROM generate_series(0, 10) b) \
                 || ' FROM generate_series(1, ' || (random() * 400)::int || ')'; \
        END LOOP; \
    END LOOP; \
    FOR shape IN SELECT s FROM generate_series(1, 1000) s ORDER BY random() LIMIT tables LOOP \
        EXECUTE 'UPDATE t' || shape || ' SET n = n + 1 WHERE id <= ' || 1 + (random() * 20)::int; \
    END LOOP; END $$";

/// Processor time of the sampler in percent of a core, and MB of a week.
async fn day(postgres: &Postgres, url: &str, signals: &Signals) -> Result<[Interval; 2]> {
    let fault = |error: tokio_postgres::Error| Error::Sql {
        statement: "the history".into(),
        detail: error.to_string(),
    };
    let mut others = Vec::new();
    for _ in 0..SESSIONS {
        others.push(connect(url).await.map_err(fault)?);
    }
    let client = connect(url).await.map_err(fault)?;
    // Only what is asked for at the top counts as a statement; here those are inside a function.
    let set = "SET pg_stat_statements.track = 'all'; SET pg_stat_statements.track_utility = off; SET enable_seqscan = off";
    client.batch_execute(set).await.map_err(fault)?;
    let run = async |statement: String| client.batch_execute(&statement).await.map_err(fault);
    let number = async |query: &str| -> Result<f64> {
        let row = client.query_one(query, &[]).await.map_err(fault)?;
        row.try_get::<_, f64>(0).map_err(fault)
    };
    run(format!("SELECT work({STATEMENTS}, {TABLES}, 0)")).await?;
    run("SELECT pitcrew.history_sample()".into()).await?;

    let sampler =
        number("SELECT pid::float8 FROM pg_stat_activity WHERE backend_type = 'pitcrew sampler'")
            .await? as u32;
    let server = std::fs::read_to_string(postgres.data_dir().join("postmaster.pid"))
        .ok()
        .and_then(|file| file.lines().next()?.parse().ok())
        .unwrap_or(0);
    let (begin, looks_before) = (Instant::now(), seconds(sampler, Of::Itself)?);
    let mut ticks = Vec::new();
    for tick in 0..TICKS {
        signals.check()?;
        let seed = (tick + 1) as f64 / (TICKS + 1) as f64;
        run(format!(
            "SELECT work({}, {}, {seed}); SELECT pg_stat_force_next_flush()",
            STATEMENTS / 5,
            TABLES / 10
        ))
        .await?;
        let before = seconds(server, Of::ItsChildren)?;
        run("SELECT pitcrew.history_sample()".into()).await?;
        ticks.push(before);
    }
    ticks.push(seconds(server, Of::ItsChildren)?);
    let looks = (seconds(sampler, Of::Itself)? - looks_before) / begin.elapsed().as_secs_f64();
    let changed = number(
        "SELECT (avg(cardinality(objects)) FILTER (WHERE kind = 's'))::float8 FROM pitcrew.history_samples WHERE tick > 1",
    )
    .await?;
    let relations = number(
        "SELECT (avg(cardinality(objects)) FILTER (WHERE kind = 'r'))::float8 FROM pitcrew.history_samples WHERE tick > 1",
    )
    .await?;
    Progress::Print.say(format!(
        "{changed:.0} statements and {relations:.0} relations changed a tick"
    ));
    let fine = number(DISK).await?;

    // Two days earlier, five minutes apart: all of it is due to become hours.
    run(format!(
        "UPDATE pitcrew.history_ticks SET at = date_trunc('day', now()) - interval '2 days' + (id - 1) * interval '{INTERVAL_S} s', \
         began = date_trunc('day', now()) - interval '2 days' + (id - 2) * interval '{INTERVAL_S} s'"
    ))
    .await?;
    let before = seconds(server, Of::ItsChildren)?;
    run("SELECT pitcrew.history_sample()".into()).await?;
    // The worker's time counts when its end was noticed, which is after it has answered.
    let (asked, mut merging) = (Instant::now(), 0.0);
    while merging == 0.0 && asked.elapsed().as_secs() < 10 {
        run("SELECT pg_sleep(0.01)".into()).await?;
        merging = seconds(server, Of::ItsChildren)? - before;
    }
    let hours =
        number("SELECT count(*)::float8 FROM pitcrew.history_ticks WHERE merged > 1").await?;
    let hour =
        number("SELECT avg(bytes)::float8 FROM pitcrew.history_ticks WHERE merged > 1").await?;
    Progress::Print.say(format!(
        "a day: {:.1} MB; {hours:.0} hours: {:.2} MB each, merged in {merging:.2} s",
        fine / 1e6,
        hour / 1e6
    ));
    // A hundredth of a second is the least that is counted: means of twelve ticks.
    let percents: Vec<f64> = ticks
        .windows(13)
        .step_by(12)
        .map(|hour| {
            let a_tick = (hour[12] - hour[0]) / 12.0;
            100.0 * (a_tick / INTERVAL_S + looks + merging / hours.max(1.0) / 3_600.0)
        })
        .collect();
    let week = (fine + 6.0 * 24.0 * hour) / 1e6;
    let exact = Interval {
        value: week,
        low: week,
        high: week,
    };
    Ok([interval(&percents), exact])
}

/// All files of the history, names and indexes included.
const DISK: &str = "SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c \
     WHERE c.relnamespace = 'pitcrew'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'history\\_%'";

async fn connect(url: &str) -> std::result::Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Whose processor time.
#[derive(Clone, Copy)]
enum Of {
    Itself,
    /// Those that have ended.
    ItsChildren,
}

/// Processor time of a process in seconds, from `/proc/PID/stat`.
fn seconds(pid: u32, of: Of) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::Extension(format!("cannot read {path}: {error}")))?;
    // The second field is a name that may hold anything; the times are fields 14 to 17.
    let fields: Vec<f64> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let place = match of {
        Of::Itself => 11,
        Of::ItsChildren => 13,
    };
    let ticks: f64 = fields.iter().skip(place).take(2).sum();
    // `USER_HZ` is 100 on every architecture that the servers run on.
    Ok(ticks / 100.0)
}
