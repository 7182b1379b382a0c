//! The one table that it is kept in.

use serde::Deserialize;
use serde_json::Value;

use crate::audit::Filter;
use crate::database::{Database, DatabaseError};

/// A row of an instance.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(super) kind: String,
    /// Rises within a kind.
    pub(super) id: i64,
    /// RFC 3339.
    at: String,
    pub(super) body: Value,
}

impl Row {
    pub(super) fn new(kind: &str, id: i64, at: &str, body: Value) -> Self {
        Self {
            kind: kind.to_owned(),
            id,
            at: at.to_owned(),
            body,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Found {
    schema: bool,
    table: bool,
    is_ours: bool,
}

/// A schema that somebody else prepared may have triggers of theirs on its table, which would run as us.
const FOUND: &str = "SELECT n.oid IS NOT NULL AS schema, c.oid IS NOT NULL AS table, \
        coalesce(pg_catalog.pg_has_role(n.nspowner, 'MEMBER'), true) \
        AND coalesce(pg_catalog.pg_has_role(c.relowner, 'MEMBER'), true) AS is_ours \
     FROM (SELECT) AS one \
     LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'pitcrew_admin' \
     LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'kept'";

const SCHEMA: &str = "CREATE SCHEMA pitcrew_admin; \
    COMMENT ON SCHEMA pitcrew_admin IS 'What the pitcrew admin router keeps: alerts, audit, history'";
const TABLE: &str = "CREATE TABLE pitcrew_admin.kept ( \
    instance text NOT NULL, kind text NOT NULL, id bigint NOT NULL, at timestamptz NOT NULL, body jsonb NOT NULL, \
    PRIMARY KEY (instance, kind, id))";

/// Makes the table where it is not there.
pub(super) async fn make(database: &Database) -> Result<(), DatabaseError> {
    let found = database.rows::<Found>(FOUND, &[]).await?;
    let found = found.first().ok_or(DatabaseError::Unreachable)?;
    if !found.is_ours {
        let why = "the schema pitcrew_admin belongs to another role: give it to the admin router's";
        return Err(DatabaseError::Refused(why.to_owned()));
    }
    // Each is a transaction of its own, so that a process that does the same at this moment is an error here and no more.
    if !found.schema {
        database.batch(SCHEMA).await.map_err(|error| match error {
            DatabaseError::NotAllowed => DatabaseError::Refused(
                "the admin router's role may not make the schema pitcrew_admin: GRANT CREATE ON DATABASE to it, or \
                 CREATE SCHEMA pitcrew_admin AUTHORIZATION it"
                    .to_owned(),
            ),
            other => other,
        })?;
    }
    if !found.table {
        database.batch(TABLE).await?;
    }
    Ok(())
}

/// The last rows of a kind, the oldest first.
pub(super) async fn last(
    database: &Database,
    instance: &str,
    kind: &str,
    count: i64,
) -> Result<Vec<Row>, DatabaseError> {
    let sql = "SELECT * FROM (SELECT kind, id, at, body FROM pitcrew_admin.kept WHERE instance = $1 AND kind = $2 \
               ORDER BY id DESC LIMIT $3) AS last ORDER BY id";
    database.rows(sql, &[&instance, &kind, &count]).await
}

/// Rows of a kind after `from`, up to `until`.
pub(super) async fn read(
    database: &Database,
    instance: &str,
    kind: &str,
    from: i64,
    until: i64,
) -> Result<Vec<Row>, DatabaseError> {
    let sql = "SELECT kind, id, at, body FROM pitcrew_admin.kept WHERE instance = $1 AND kind = $2 AND id > $3 AND id <= $4 ORDER BY id";
    database.rows(sql, &[&instance, &kind, &from, &until]).await
}

/// Entries of the audit before `before` that a filter takes, the newest first.
pub(super) async fn audit(
    database: &Database,
    instance: &str,
    before: i64,
    count: i64,
    filter: &Filter,
) -> Result<Vec<Row>, DatabaseError> {
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    let (since, until) = (time(filter.since), time(filter.until));
    let sql = "SELECT kind, id, at, body FROM pitcrew_admin.kept WHERE instance = $1 AND kind = 'audit' AND id < $2 \
            AND ($3::text IS NULL OR body OPERATOR(pg_catalog.->>) 'who' = $3) \
            AND ($4::text IS NULL OR body OPERATOR(pg_catalog.->>) 'name' = $4) \
            AND ($5::text IS NULL OR at >= $5::text::pg_catalog.timestamptz) \
            AND ($6::text IS NULL OR at < $6::text::pg_catalog.timestamptz) ORDER BY id DESC LIMIT $7";
    database
        .rows(
            sql,
            &[
                &instance,
                &before,
                &filter.who,
                &filter.name,
                &since,
                &until,
                &count,
            ],
        )
        .await
}

/// All of them, or none.
pub(super) async fn write(
    database: &Database,
    instance: &str,
    rows: &[Row],
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO pitcrew_admin.kept (instance, kind, id, at, body) \
               SELECT $1, kind, id, at::pg_catalog.timestamptz, body \
               FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::bigint[]), pg_catalog.unnest($4::text[]), \
                               pg_catalog.unnest($5::jsonb[])) AS new (kind, id, at, body)";
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let at: Vec<_> = rows.iter().map(|row| row.at.as_str()).collect();
    let bodies: Vec<_> = rows.iter().map(|row| &row.body).collect();
    database
        .execute(sql, &[&instance, &kinds, &ids, &at, &bodies])
        .await
}

/// Of alerts and marks the last 10,000 stay, of the audit 100,000, of cycles 1,000, of the map of heat three hours, of minutes a week, of
/// hours a year, and the last ten orders.
pub(super) async fn prune(database: &Database, instance: &str) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM pitcrew_admin.kept AS old USING ( \
            SELECT kind, pg_catalog.max(id) AS last FROM pitcrew_admin.kept WHERE instance = $1 GROUP BY kind) AS of_kind \
        WHERE old.instance = $1 AND old.kind = of_kind.kind AND old.id <= of_kind.last - CASE old.kind \
            WHEN 'alert' THEN 10000 WHEN 'mark' THEN 10000 WHEN 'audit' THEN 100000 WHEN 'cycle' THEN 1000 WHEN 'heat' THEN 10800 WHEN 'orders' THEN 10 \
            WHEN 'minute' THEN 604800 ELSE 31536000 END";
    database.execute(sql, &[&instance]).await
}
