//! What sessions do to one another and to themselves: DDL, settings, cancels, transactions that are left, databases and extensions that come
//! and go.

use super::indexes;
use super::statements;
use super::tables::TABLES;
use crate::bench::choices::Choices;
use crate::sql;

/// Tables, databases and roles of a kind that sessions make and drop.
const SOME: usize = 6;

/// Types of the columns of a table that is made.
const TYPES: [&str; 18] = [
    "int",
    "bigint",
    "text",
    "numeric",
    "jsonb",
    "date",
    "timestamptz",
    "boolean",
    "text[]",
    "int4range",
    "mood",
    "positive",
    "bytea",
    "uuid",
    "pair",
    "varchar(63)",
    "name",
    "double precision",
];

const SETTINGS: [&str; 22] = [
    "SET pitcrew.capture = 'all'",
    "SET pitcrew.capture = 'off'",
    "SET pitcrew.capture = 'sample'",
    "SET pitcrew.capture = 'nothing'",
    "SET pitcrew.capture_min_duration = -1",
    "SET pitcrew.capture_min_duration = 'NaN'",
    "SET pitcrew.capture_sample_rate = 'Infinity'",
    "SET pitcrew.capture_sample_rate = 0.5",
    "SET pitcrew.capture_values = off",
    "SET pitcrew.show_values = on",
    "SET pitcrew.suggest_timeout = 1",
    "SET pitcrew.suggest_timeout = 99999999999999",
    "SET pitcrew.max_statements = 1",
    "SET pitcrew.nothing = 'x'",
    "SET LOCAL pitcrew.capture = 'all'",
    "SELECT set_config('pitcrew.capture', repeat('x', 100000), true)",
    "SET statement_timeout = '2ms'",
    "SET statement_timeout = '20ms'",
    "SET plan_cache_mode = force_generic_plan",
    "SET compute_query_id = off",
    "SET search_path = ''",
    "SET default_transaction_read_only = on",
];

/// One of them.
pub(super) fn any(choices: &mut Choices) -> String {
    match choices.below(20) {
        0..=3 => ddl(choices),
        4..=5 => choices.one(&SETTINGS).to_owned(),
        6 => choices
            .one(&[
                "RESET ALL",
                "RESET ALL",
                "DISCARD ALL",
                "DISCARD PLANS",
                "RESET pitcrew.capture",
            ])
            .to_owned(),
        7..=8 => strike(choices),
        9..=12 => transaction(choices),
        13..=14 => prepared(choices),
        15 => cluster(choices),
        16 => maintenance(choices),
        17 => extension(choices),
        18 => choices
            .one(&[
                "SET ROLE hostile_reader",
                "SET ROLE hostile_nobody",
                "SET ROLE hostile_owner",
                "RESET ROLE",
                "SET SESSION AUTHORIZATION hostile_reader",
                "RESET SESSION AUTHORIZATION",
            ])
            .to_owned(),
        _ => choices
            .one(&[
                "ALTER SYSTEM SET pitcrew.history_interval = 10",
                "ALTER SYSTEM SET pitcrew.capture_min_duration = 0",
                "ALTER SYSTEM SET pitcrew.max_parallel_jobs = 8",
                "ALTER SYSTEM RESET ALL",
                "SELECT pg_reload_conf()",
                "SELECT pg_stat_statements_reset()",
                "SELECT pg_stat_reset()",
                "LISTEN noise; NOTIFY noise, 'x'; UNLISTEN *",
                "CHECKPOINT",
                "LOCK TABLE plain IN ACCESS EXCLUSIVE MODE",
                "SELECT count(*) FROM pitcrew.captured",
                "SELECT count(*) FROM pitcrew.captured_statements",
                "UPDATE pitcrew.jobs SET state = 'queued' WHERE random() < 0.1",
                "DELETE FROM pitcrew.jobs WHERE random() < 0.3",
                "INSERT INTO pitcrew.jobs (kind, target) VALUES ('vacuum', 'plain')",
                "INSERT INTO pitcrew.jobs (kind, target, options) VALUES ('nothing', NULL, '[1]')",
                "DELETE FROM pitcrew.history_ticks WHERE random() < 0.2",
                "DELETE FROM pitcrew.schedule_rows WHERE random() < 0.3",
            ])
            .to_owned(),
    }
}

fn ddl(choices: &mut Choices) -> String {
    let random = format!("random_{}", choices.below(SOME));
    let table = TABLES[choices.below(TABLES.len())].name;
    match choices.below(14) {
        0..=1 => {
            let columns: Vec<String> = (0..1 + choices.below(12))
                .map(|number| format!("c{number} {}", choices.one(&TYPES)))
                .collect();
            let kind = choices.one(&["", "", "UNLOGGED "]);
            format!("CREATE {kind}TABLE IF NOT EXISTS {random} ({})", columns.join(", "))
        }
        2 => format!("CREATE TABLE {random} AS {} WITH {}DATA", statements::query(choices), choices.one(&["", "NO "])),
        3 => format!("DROP TABLE IF EXISTS {random} CASCADE"),
        4 => format!("ALTER TABLE {random} {}", choices.one(&[
            "ADD COLUMN more text DEFAULT 'x'", "DROP COLUMN IF EXISTS c0 CASCADE", "RENAME TO random_0", "ALTER COLUMN c0 TYPE text USING c0::text",
            "SET (fillfactor = 20)", "ADD PRIMARY KEY (c0)", "SET UNLOGGED", "REPLICA IDENTITY FULL", "ALTER COLUMN c0 SET STATISTICS 10000"])),
        5 => format!("INSERT INTO {random} DEFAULT VALUES"),
        6 => format!("CREATE VIEW random_view AS {}", statements::query(choices)),
        7 => "DROP VIEW IF EXISTS random_view".into(),
        8..=9 => indexes::create(choices),
        10 => {
            // What a session made, by whatever name the server gave it.
            "DO $$ DECLARE i regclass; BEGIN SELECT indexrelid::regclass INTO i FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid \
             WHERE c.relnamespace = 'public'::regnamespace AND NOT x.indisprimary AND indexrelid > (SELECT max(oid) FROM pg_class WHERE relname = 'stored') \
             ORDER BY random() LIMIT 1; IF i IS NOT NULL THEN EXECUTE format('DROP INDEX IF EXISTS %s', i); END IF; END $$"
                .into()
        }
        11 => format!("TRUNCATE {}", choices.one(&["no_log", "empty", "child", "hashed_1"])),
        12 => format!("ALTER TABLE {table} {}", choices.one(&["SET (autovacuum_enabled = off)", "RESET (autovacuum_enabled)", "CLUSTER ON plain_pkey"])),
        _ => "ALTER TABLE parts DETACH PARTITION parts_b; ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')".into(),
    }
}

/// Cancels or terminates another session, or a worker of the extension.
fn strike(choices: &mut Choices) -> String {
    let how = choices.one(&[
        "pg_cancel_backend",
        "pg_cancel_backend",
        "pg_terminate_backend",
    ]);
    let whom = choices.one(&[
        "usename LIKE 'hostile%'",
        "usename LIKE 'hostile%'",
        "backend_type LIKE 'pitcrew%'",
    ]);
    format!(
        "SELECT {how}(pid) FROM (SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {whom} ORDER BY random() LIMIT 1) s"
    )
}

fn transaction(choices: &mut Choices) -> String {
    choices
        .one(&[
            "BEGIN",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "BEGIN READ ONLY",
            "COMMIT",
            "COMMIT",
            "ROLLBACK",
            "ROLLBACK",
            "SAVEPOINT s",
            "ROLLBACK TO s",
            "RELEASE s",
            "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM plain ORDER BY id",
            "DECLARE d CURSOR FOR SELECT 10 / (id - 5) FROM plain ORDER BY id",
            "FETCH 4 FROM c",
            "FETCH BACKWARD 2 FROM c",
            "FETCH ALL FROM d",
            "MOVE 3 IN c",
            "CLOSE ALL",
            "COMMIT AND CHAIN",
            "DO $$ BEGIN FOR i IN 1..20 LOOP BEGIN PERFORM 1 / (i % 3); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$",
            "DO $$ BEGIN FOR i IN 1..5 LOOP INSERT INTO no_log VALUES (i, 'loop'); COMMIT; END LOOP; END $$",
            "COPY (SELECT * FROM plain) TO '/dev/null'",
        ])
        .to_owned()
}

fn prepared(choices: &mut Choices) -> String {
    let number = choices.below(4);
    match choices.below(6) {
        0 => format!("DEALLOCATE {}", choices.one(&["ALL", "p0", "p1"])),
        1 => format!("PREPARE p{number} AS {}", statements::any(choices)),
        2 => format!(
            "PREPARE p{number} (int, text) AS SELECT * FROM plain WHERE id = $1 AND name <> $2"
        ),
        3 => format!(
            "PREPARE p{number} (int, text) AS UPDATE plain SET name = $2 WHERE id < $1 % 5 RETURNING id"
        ),
        4 => format!("EXECUTE p{number}"),
        _ => format!(
            "EXECUTE p{number} ({}, {})",
            statements::literal("integer", choices),
            statements::literal("text", choices)
        ),
    }
}

/// Databases and roles.
fn cluster(choices: &mut Choices) -> String {
    let number = choices.below(2);
    match choices.below(8) {
        0 => format!("CREATE DATABASE hostile_made_{number}"),
        1 => format!("CREATE DATABASE hostile_made_{number} TEMPLATE hostile_second"),
        2..=3 => format!("DROP DATABASE IF EXISTS hostile_made_{number} WITH (FORCE)"),
        4 => format!(
            "ALTER DATABASE hostile_made_{number} RENAME TO hostile_made_{}",
            1 - number
        ),
        5 => format!("CREATE ROLE hostile_made_{number}"),
        6 => format!("SELECT pitcrew.grant_access('hostile_made_{number}', 'operator')"),
        _ => {
            format!("DROP OWNED BY hostile_made_{number} CASCADE; DROP ROLE hostile_made_{number}")
        }
    }
}

fn maintenance(choices: &mut Choices) -> String {
    let table = TABLES[choices.below(TABLES.len())].name;
    let verb = choices.one(&[
        "ANALYZE",
        "VACUUM",
        "VACUUM FULL",
        "VACUUM (FREEZE, ANALYZE)",
        "REINDEX TABLE",
        "REINDEX TABLE CONCURRENTLY",
        "CLUSTER",
    ]);
    if choices.once_in(5) {
        let way = choices.one(&["", "CONCURRENTLY"]);
        return format!("REFRESH MATERIALIZED VIEW {way} stored");
    }
    format!("{verb} {table}")
}

/// In the main database what is there stays: each function has to be called. In the second one it comes and goes.
fn extension(choices: &mut Choices) -> String {
    let statement = choices.one(&[
        "CREATE EXTENSION pg_pitcrew",
        "CREATE EXTENSION IF NOT EXISTS pg_pitcrew",
        // The server leaves the schema, and the extension takes none that another role owns.
        "DROP EXTENSION IF EXISTS pg_pitcrew CASCADE; DROP SCHEMA IF EXISTS pitcrew CASCADE",
        "ALTER EXTENSION pg_pitcrew UPDATE",
    ]);
    // The name is taken by a constant, so that this is told from the stream alone.
    format!(
        "DO $$ BEGIN IF current_database() = 'hostile_second' THEN EXECUTE {}; END IF; END $$",
        sql::literal(statement)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_beyond_the_cluster() {
        let mut choices = Choices::from_seed(2);
        for _ in 0..20_000 {
            let text = any(&mut choices);
            for bad in [
                "PROGRAM",
                "lo_export",
                "pg_read_file",
                "pg_ls_dir",
                "archive_command",
                "dblink",
                "ALTER SYSTEM SET shared",
                "ALTER SYSTEM SET restart",
            ] {
                assert!(!text.contains(bad), "{text}");
            }
        }
    }
}
