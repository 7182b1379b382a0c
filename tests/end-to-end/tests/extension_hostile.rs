//! Random and hostile SQL against the extension, a few thousand statements of a fixed seed (`./pitcrew bench hostile` sends them for ten minutes),
//! and what it brought to light, one test a fault.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::hostile::{Kind, SETTINGS, Verdict, World};
use pitcrew_stack::{PostgresOptions, require, testing};
use support::Session;

/// Of each session.
const STATEMENTS: usize = 700;
const SEED: u64 = 20_260_101;

#[test]
fn p10_hostile_and_random_sql_crashes_no_backend_and_meets_no_internal_error() {
    require!(extension);
    let mut options = PostgresOptions::with_extension(testing::server());
    options
        .settings
        .extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let postgres = testing::postgres(options);
    let world = World::build(&postgres).unwrap();
    let (trace, held) = world.run(SEED, STATEMENTS, || true).unwrap();
    let verdict = Verdict::of(&world, trace, held, 1).unwrap();
    let summary = verdict.summary();
    assert!(
        verdict.crashes.is_empty() && verdict.trace.lost.is_empty(),
        "{summary}"
    );
    assert_eq!(verdict.panics, 0, "{summary}");
    for kind in [Kind::Extension, Kind::Called] {
        assert_eq!(verdict.internal_errors(kind), 0, "{summary}");
    }
    assert!(
        verdict.trace.stuck.is_empty() && verdict.held.is_empty(),
        "{summary}"
    );
    assert!(verdict.missed.is_empty(), "{summary}");
    // Where most statements fail, little of the server was met.
    let count = |code: &str| verdict.trace.codes.get(code).copied().unwrap_or(0);
    assert!(count("00000") * 3 > verdict.trace.statements, "{summary}");
}

#[test]
fn an_error_in_the_depth_of_a_query_leaves_no_transaction_open() {
    require!(extension);
    let postgres = support::server(&[]);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    // Deeper than walking the tree takes, and not deeper than parsing and analysing it does.
    let mut deep = 0;
    for terms in (250..6_000).step_by(250) {
        let text = format!(
            "SELECT * FROM pitcrew.explain_with('SELECT ' || repeat('1 + ', {terms}) || '1')"
        );
        if let Err(failure) = session.try_run(&text) {
            assert_eq!(failure.code, "22023", "{terms}: {failure:?}");
            assert!(failure.message.contains("stack depth"), "{failure:?}");
            deep += 1;
        }
        assert_eq!(session.text("SELECT 'still here'"), "still here");
    }
    assert!(deep > 5, "{deep}");
    // Nor does it where a transaction is open, which fails as a whole and no more.
    session.run("BEGIN; SAVEPOINT s");
    session.failure("SELECT * FROM pitcrew.explain_with('SELECT ' || repeat('1 + ', 2500) || '1')");
    session.run("ROLLBACK TO s; COMMIT");
    assert_eq!(session.text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'transactionid'"), "0");
}

#[test]
fn json_that_cannot_be_read_is_a_wrong_argument() {
    require!(extension);
    let postgres = support::server(&[]);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    let huge = "'{\"a\": 1e400}'::jsonb";
    let deep = "(repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb";
    for json in [huge, deep] {
        for call in [
            format!("report({json})"),
            format!("check('unused_index', {json})"),
            format!("submit_job('analyze_all_stale', NULL, {json})"),
            format!("dry_run('analyze_all_stale', NULL, {json})"),
            format!("schedule('n', '@daily', {json})"),
            format!("schedule_nightly({json})"),
            format!("schedule_preview('@daily', {json})"),
        ] {
            let failure = session.failure(&format!("SELECT * FROM pitcrew.{call}"));
            assert_eq!(failure.code, "22023", "{call}: {failure:?}");
            assert!(
                failure.message.starts_with("the JSON cannot be read"),
                "{call}: {failure:?}"
            );
        }
    }
}

/// A database whose encoding is not UTF8, with names that are no UTF-8 there: byte 233 is é in Latin-1.
struct Foreign {
    session: Session,
    encoding: &'static str,
}

impl Foreign {
    fn build(postgres: &pitcrew_stack::Postgres, encoding: &'static str) -> Self {
        let database = encoding.to_lowercase();
        postgres
            .run(
                "postgres",
                &[&format!(
                    "CREATE DATABASE {database} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
                )],
            )
            .unwrap();
        let session = Session::open(&postgres.socket_url("postgres", &database));
        session.run("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_pitcrew; SET pg_stat_statements.track = 'all'");
        session.run("SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = 0");
        let foreign = Self { session, encoding };
        foreign.execute(&format!("CREATE ROLE \"r~_{database}\" LOGIN"));
        for statement in [
            "CREATE TABLE \"t~\" (\"a~\" int, \"b~\" int, body text) WITH (autovacuum_enabled = off)",
            "INSERT INTO \"t~\" SELECT g % 50, g % 50, repeat('x', 200) FROM generate_series(1, 5000) g",
            "CREATE INDEX \"i~\" ON \"t~\" (\"a~\")",
            "CREATE INDEX \"twin~\" ON \"t~\" (\"a~\")",
            "ALTER TABLE \"t~\" ADD CONSTRAINT \"k~\" CHECK (\"a~\" >= 0) NOT VALID",
            "CREATE SEQUENCE \"s~\" AS smallint START 32000",
            "CREATE MATERIALIZED VIEW \"m~\" AS SELECT 1 AS \"a~\"",
            "DELETE FROM \"t~\" WHERE \"a~\" < 20",
            // What was written as UTF-8 is that in a database that takes any bytes.
            "CREATE TABLE \"größe\" (\"länge\" int)",
        ] {
            foreign.execute(statement);
        }
        foreign.session.run("SELECT pg_stat_force_next_flush()");
        foreign
    }

    /// Runs a statement in which `~` is byte 233.
    fn execute(&self, statement: &str) {
        self.session.run(&format!(
            "DO $do$ BEGIN EXECUTE replace($q${statement}$q$, '~', chr(233)); END $do$"
        ));
    }

    /// The one value of a query in which `~` is byte 233 within its literals, in bytes: those that are not ASCII as `\351`.
    fn value(&self, query: &str) -> String {
        let query = query.replace('~', "' || chr(233) || '");
        self.session.text(&format!(
            "SELECT encode(convert_to((SELECT x::text FROM ({query}) q (x)), getdatabaseencoding()), 'escape')"
        ))
    }

    /// What a call fails with.
    fn failure(&self, call: &str) -> support::Failure {
        let call = call.replace('~', "' || chr(233) || '");
        self.session.failure(&format!("SELECT {call}"))
    }

    /// How an error writes byte 233.
    fn escape(&self) -> &'static str {
        if self.encoding == "LATIN1" {
            "\\00E9"
        } else {
            "\\xE9"
        }
    }

    fn finding(&self, check: &str, thresholds: &str, object: &str) -> String {
        self.value(&format!(
            "SELECT f.severity || ' ' || coalesce(f.fix_sql, '') FROM pitcrew.check('{check}', '{thresholds}') f WHERE f.object = '{object}'"
        ))
    }

    fn job(&self, arguments: &str) -> String {
        let id = self.value(&format!("SELECT pitcrew.submit_job({arguments})"));
        self.session.done(&id);
        self.value(&format!(
            "SELECT coalesce(command, 'nothing') FROM pitcrew.jobs WHERE id = {id}"
        ))
    }
}

/// The table, the index and the view of such names.
const TABLE: &str = "(SELECT oid::regclass FROM pg_class WHERE relname = 't~')";
const INDEX: &str = "(SELECT oid::regclass FROM pg_class WHERE relname = 'i~')";
const VIEW: &str = "(SELECT oid::regclass FROM pg_class WHERE relname = 'm~')";

#[test]
fn names_that_are_no_utf_8_are_names_to_checks_jobs_history_and_schedules() {
    require!(statements);
    let postgres = support::server(&[
        ("autovacuum", "off"),
        ("pg_stat_statements.track_utility", "off"),
    ]);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let foreign = Foreign::build(&postgres, encoding);
        checks_of(&foreign);
        jobs_of(&foreign);
        history_of(&foreign);
        schedules_of(&foreign);
    }
    let log = std::fs::read(postgres.log_path()).unwrap();
    let log = String::from_utf8_lossy(&log);
    let bad = log
        .lines()
        .filter(|line| line.contains("panicked") || line.contains("XX000"));
    assert_eq!(bad.collect::<Vec<_>>(), Vec::<&str>::new());
}

fn checks_of(foreign: &Foreign) {
    let session = &foreign.session;
    let encoding = foreign.encoding;
    assert_eq!(
        foreign.value("SELECT coalesce(string_agg(\"check\" || ': ' || detail, '|'), 'none') FROM pitcrew.report() WHERE detail LIKE '%the query failed%'"),
        "none",
        "{encoding}"
    );
    for row in session.run("SELECT name FROM pitcrew.checks()") {
        let name = row[0].as_deref().unwrap();
        let failed = foreign.value(&format!(
            "SELECT coalesce(string_agg(detail, '|'), 'none') FROM pitcrew.check('{name}') WHERE detail LIKE '%the query failed%'"
        ));
        assert_eq!(failed, "none", "{encoding}: {name}");
    }
    assert_eq!(
        foreign.finding("not_validated_constraint", "{}", "public.\"t~\".\"k~\""),
        "warn ALTER TABLE public.\"t\\351\" VALIDATE CONSTRAINT \"k\\351\"",
        "{encoding}"
    );
    assert_eq!(
        foreign.value("SELECT object || ' ' || fix_sql FROM pitcrew.check('duplicate_index')"),
        "public.\"i\\351\" DROP INDEX CONCURRENTLY public.\"i\\351\"",
        "{encoding}"
    );
    assert!(
        foreign
            .finding("missing_primary_key", "{}", "public.\"größe\"")
            .starts_with("warn"),
        "{encoding}"
    );
    // What is suppressed by such a key stays away, and evidence and job come through.
    session.run(&"INSERT INTO pitcrew.suppressed_findings (cache_key) VALUES ('missing_primary_key:public.\"t~\"')".replace('~', "' || chr(233) || '"));
    assert_eq!(
        foreign.value("SELECT count(*) FROM pitcrew.check('missing_primary_key') f WHERE f.object = 'public.\"t~\"'"),
        "0",
        "{encoding}"
    );
    assert_eq!(
        foreign.value("SELECT (f.evidence ->> 'table') || ' ' || (f.evidence ->> 'constraint') FROM pitcrew.check('not_validated_constraint') f"),
        "public.\"t\\351\" k\\351",
        "{encoding}"
    );
    assert_eq!(
        foreign.value(
            "SELECT fix_job ->> 'target' FROM pitcrew.check('dead_rows', '{\"min_rows\": 100}')"
        ),
        "public.\"t\\351\"",
        "{encoding}"
    );
    assert_eq!(
        foreign.value("SELECT object FROM pitcrew.autovacuum_advice(1) WHERE topic = 'off'"),
        "public.\"t\\351\"",
        "{encoding}"
    );
    let refused = foreign.failure("pitcrew.check('n~')");
    assert_eq!(refused.code, "22023", "{encoding}: {refused:?}");
    assert_eq!(
        refused.message,
        format!("there is no check \"n{}\"", foreign.escape())
    );
    // Plans and statements that were captured.
    let plans = foreign.value(
        "SELECT string_agg(DISTINCT plan, '|') FROM pitcrew.seen_plans WHERE plan LIKE '%t~%'",
    );
    assert!(
        plans.contains("on public.\"t\\351\""),
        "{encoding}: {plans}"
    );
    assert_ne!(
        foreign.value("SELECT count(*) FROM pitcrew.captured WHERE query LIKE '%t~%'"),
        "0",
        "{encoding}"
    );
    foreign.value("SELECT count(*) FROM pitcrew.seen_plans p, pitcrew.compared_columns(p.queryid)");
}

fn jobs_of(foreign: &Foreign) {
    let encoding = foreign.encoding;
    let columns = "jsonb_build_object('columns', jsonb_build_array('b~', 'a~'))";
    let together = "jsonb_build_object('columns', jsonb_build_array('b~', 'a~'), 'kinds', jsonb_build_array('mcv'))";
    for (arguments, wanted) in [
        (format!("'vacuum', {TABLE}"), "VACUUM public.\"t\\351\""),
        (format!("'analyze', {TABLE}"), "ANALYZE public.\"t\\351\""),
        (
            format!("'create_index', {TABLE}, {columns}"),
            "CREATE INDEX CONCURRENTLY \"t\\351_b\\351_a\\351_idx\" ON public.\"t\\351\" (\"b\\351\", \"a\\351\")",
        ),
        (
            format!(
                "'create_index', {TABLE}, jsonb_build_object('definition', '(\"b~\") WHERE \"a~\" > 30', 'name', 'made~')"
            ),
            "CREATE INDEX CONCURRENTLY \"made\\351\" ON public.\"t\\351\" (\"b\\351\") WHERE \"a\\351\" > 30",
        ),
        (
            format!("'reindex', {INDEX}"),
            "REINDEX INDEX CONCURRENTLY public.\"i\\351\"",
        ),
        (
            "'drop_index', (SELECT oid::regclass FROM pg_class WHERE relname = 'made~')".to_owned(),
            "DROP INDEX CONCURRENTLY public.\"made\\351\"",
        ),
        (
            format!("'refresh_matview', {VIEW}, '{{\"concurrently\": false}}'"),
            "REFRESH MATERIALIZED VIEW public.\"m\\351\"",
        ),
    ] {
        let shown = foreign.value(&format!("SELECT command FROM pitcrew.dry_run({arguments})"));
        assert_eq!(shown, wanted, "{encoding}");
        assert_eq!(foreign.job(&arguments), wanted, "{encoding}");
    }
    let ran = foreign.job(&format!("'statistics', {TABLE}, {together}"));
    assert_eq!(
        ran, "ANALYZE public.\"t\\351\" (\"a\\351\", \"b\\351\")",
        "{encoding}"
    );
    assert_eq!(
        foreign.value("SELECT stxname FROM pg_statistic_ext"),
        "t\\351_a\\351_b\\351_stat",
        "{encoding}"
    );
    // A name's bytes are those that it has in the database.
    let long = |letters: u32| {
        format!(
            "jsonb_build_object('columns', jsonb_build_array('a~'), 'name', repeat('~', {letters}))"
        )
    };
    foreign.job(&format!("'create_index', {TABLE}, {}", long(63)));
    let refused = foreign.failure(&format!(
        "pitcrew.submit_job('create_index', {TABLE}, {})",
        long(64)
    ));
    assert_eq!(refused.code, "22023", "{encoding}: {refused:?}");
    foreign.job("'vacuum_due'");
    let refused = foreign.failure(&format!(
        "pitcrew.submit_job('create_index', {TABLE}, jsonb_build_object('columns', jsonb_build_array('z~')))"
    ));
    assert_eq!(refused.code, "42703", "{encoding}: {refused:?}");
    let escape = foreign.escape();
    assert_eq!(
        refused.message,
        format!("column \"z{escape}\" of relation public.\"t{escape}\" does not exist")
    );
    let refused = foreign.failure("pitcrew.submit_job('kind~')");
    assert_eq!(refused.code, "22023", "{encoding}: {refused:?}");
    // What the server says of it when it runs is kept, with a mark where a name was.
    let failed = foreign.value(&format!(
        "SELECT pitcrew.submit_job('refresh_matview', {VIEW})"
    ));
    let ended = foreign.session.ended(&failed);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "55000"),
        "{encoding}: {ended:?}"
    );
    let mark = if encoding == "LATIN1" {
        '?'
    } else {
        '\u{fffd}'
    };
    assert!(
        ended.2.contains(&format!("public.\"m{mark}\"")),
        "{encoding}: {ended:?}"
    );
    // A role of such a name may be given rights, and has its own jobs run.
    let database = encoding.to_lowercase();
    foreign.value(&format!(
        "SELECT pitcrew.grant_access((SELECT oid::regrole FROM pg_roles WHERE rolname = 'r~_{database}'), 'operator')"
    ));
    foreign.execute("CREATE SCHEMA own");
    foreign.execute(&format!(
        "GRANT ALL ON SCHEMA own TO \"r~_{database}\"; SET ROLE \"r~_{database}\"; CREATE TABLE own.\"hers~\" (id int)"
    ));
    let command =
        foreign.job("'analyze', (SELECT oid::regclass FROM pg_class WHERE relname = 'hers~')");
    assert_eq!(command, "ANALYZE own.\"hers\\351\"", "{encoding}");
    foreign.session.run("RESET ROLE");
    assert_eq!(
        foreign.value("SELECT submitter FROM pitcrew.jobs ORDER BY id DESC LIMIT 1"),
        format!("\"r\\351_{database}\""),
    );
}

fn history_of(foreign: &Foreign) {
    let encoding = foreign.encoding;
    let session = &foreign.session;
    support::history::sample(session);
    foreign.execute("UPDATE \"t~\" SET \"b~\" = 7 WHERE \"a~\" = 30");
    foreign.execute("DROP INDEX \"twin~\"");
    support::history::sample(session);
    assert_eq!(
        foreign.value(
            "SELECT object FROM pitcrew.table_growth('-infinity') WHERE object = 'public.\"t~\"'"
        ),
        "public.\"t\\351\"",
        "{encoding}"
    );
    assert_eq!(
        foreign.value("SELECT sum(r.calls) FROM pitcrew.history_objects o, pitcrew.query_trend(o.key::bigint, '-infinity') r WHERE o.kind = 's' AND o.label LIKE 'UPDATE \"t~\"%'"),
        "1",
        "{encoding}"
    );
    assert_eq!(
        foreign.value("SELECT count(*) FROM pitcrew.history_objects WHERE label LIKE '%twin~%'"),
        "1",
        "{encoding}"
    );
    let advised = foreign.value("SELECT string_agg(ddl, '|') FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT 1 FROM \"t~\" WHERE \"b~\" = 3 AND body = $1'])");
    assert!(
        advised.contains("ON public.\"t\\351\" ("),
        "{encoding}: {advised}"
    );
    for call in [
        "wait_profile('-infinity')",
        "settings_changes('-infinity')",
        "regressions()",
        "history_status()",
        "workload()",
        "suggest_indexes()",
        "index_proposals()",
        "pool_advice(pitcrew.pool_sample())",
    ] {
        foreign.value(&format!("SELECT count(*) FROM pitcrew.{call}"));
    }
    assert_eq!(
        foreign.value("SELECT coalesce(last_error, 'none') FROM pitcrew.history_status()"),
        "none",
        "{encoding}"
    );
}

fn schedules_of(foreign: &Foreign) {
    let encoding = foreign.encoding;
    let job = "jsonb_build_object('kind', 'vacuum', 'target', 'public.\"t~\"')";
    foreign.value(&format!(
        "SELECT pitcrew.schedule('each ~', '@yearly', {job})"
    ));
    foreign.value("SELECT pitcrew.run_schedule('each ~')::text");
    foreign
        .session
        .until("SELECT runs FROM pitcrew.schedules", "1");
    foreign
        .session
        .done("(SELECT max(id) FROM pitcrew.jobs WHERE schedule IS NOT NULL)");
    assert_eq!(
        foreign.value(
            "SELECT schedule || ': ' || command FROM pitcrew.jobs WHERE schedule IS NOT NULL"
        ),
        "each \\351: VACUUM public.\"t\\351\"",
        "{encoding}"
    );
    foreign.value("SELECT pitcrew.pause_schedule('each ~', 'caf~')::text");
    assert_eq!(
        foreign.value("SELECT name || ' ' || paused_because FROM pitcrew.schedules"),
        "each \\351 caf\\351",
        "{encoding}"
    );
    let refused = foreign.failure("pitcrew.run_schedule('each ~')");
    assert_eq!(refused.code, "55000", "{encoding}: {refused:?}");
    foreign.value("SELECT pitcrew.resume_schedule('each ~')::text");
    for (call, code) in [
        ("pitcrew.unschedule('none ~')", "P0002"),
        (
            "pitcrew.schedule('x', 'each ~', '{\"kind\": \"vacuum\"}')",
            "22023",
        ),
        ("pitcrew.schedule_preview('@daily', NULL, 'Caf~')", "22023"),
        (
            "pitcrew.schedule('x', '@daily', jsonb_build_object('kind', 'vacuum', 'target', 'public.\"no~\"'))",
            "42P01",
        ),
    ] {
        let refused = foreign.failure(call);
        assert_eq!(refused.code, code, "{encoding}: {call}: {refused:?}");
    }
    foreign.value("SELECT pitcrew.unschedule('each ~')::text");
    assert_eq!(
        foreign.value("SELECT count(*) FROM pitcrew.schedules"),
        "0",
        "{encoding}"
    );
}
