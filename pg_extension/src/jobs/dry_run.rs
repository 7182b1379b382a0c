//! `pitcrew.dry_run()`: what a job would run, which lock it would take, and how long such jobs took here before.

use pgrx::prelude::*;

use super::plan::{self, Built, Step};
use super::spec::Spec;
use super::{command, disk};
use crate::document::Document;
use crate::failure::{Failure, or_raise, read_one, spi};
use crate::text::Text;

/// One row a command, in order; nothing runs and nothing is queued.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.dry_run(kind text, target regclass DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS TABLE (
    step integer, command text, lock text, estimated_ms double precision, estimated_read_bytes bigint,
    estimated_write_bytes bigint, basis text
)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'dry_run_wrapper';
COMMENT ON FUNCTION pitcrew.dry_run(text, regclass, jsonb) IS
    'What pitcrew.submit_job() with the same arguments would run now. lock: the strongest one on the table while the command works. estimated_ms: the median of earlier jobs of the kind, scaled by size; NULL without any, as basis says.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    reason = "pgrx gives arguments by value and reads the columns here"
)]
fn dry_run(
    kind: Option<Text>,
    target: Option<pg_sys::Oid>,
    options: Option<Document>,
) -> TableIterator<
    'static,
    (
        name!(step, i32),
        name!(command, Text),
        name!(lock, Text),
        name!(estimated_ms, Option<f64>),
        name!(estimated_read_bytes, Option<i64>),
        name!(estimated_write_bytes, Option<i64>),
        name!(basis, Text),
    ),
> {
    let Text(kind) = or_raise(kind.ok_or_else(|| Failure::argument("a job needs a kind")));
    let kind = kind.as_str();
    let options = options.map_or(serde_json::Value::Null, |Document(value)| value);
    let spec = or_raise(Spec::parse(kind, &options));
    // SAFETY: plain read of the current role.
    let role = unsafe { pg_sys::GetUserId() };
    if !matches!(spec, Spec::Many(_)) {
        or_raise(or_raise(command::build(&spec, target, role)).refuse_taken_name(target));
    }
    or_raise(disk::has_room(&spec, target));
    let steps = or_raise(plan::steps(&spec, target));
    let mut rows = Vec::with_capacity(steps.len());
    for step in &steps {
        let Some((text, on)) = or_raise(described(step, role)) else {
            continue;
        };
        let (spec, kind) = match step {
            Step::Whole(spec, _) => (spec, kind),
            Step::Chosen(spec, _) => (spec, spec.kind()),
            _ => (&spec, kind),
        };
        let bytes = on.and_then(size).filter(|bytes| *bytes > 0);
        let reads = !matches!(step, Step::Attach { .. } | Step::Keep(..))
            && !matches!(spec, Spec::DropIndex);
        let (per_byte, jobs) = history(kind, &options);
        let basis = match jobs {
            0 => format!("no finished {kind} job of this kind and size is known"),
            _ => format!("median of {jobs} finished {kind} jobs, with what they waited"),
        };
        rows.push((
            rows.len() as i32 + 1,
            text.as_str().into(),
            lock(&text).into(),
            // Of statistics it is the reading that takes the time.
            per_byte
                .zip(bytes)
                .filter(|_| !matches!(step, Step::Keep(..)))
                .map(|(rate, bytes)| rate * bytes as f64),
            on.filter(|_| reads).and_then(read),
            on.filter(|_| reads)
                .and_then(|on| disk::writes(spec, on))
                .filter(|bytes| *bytes > 0),
            basis.into(),
        ));
    }
    TableIterator::new(rows)
}

/// The text of a step and the relation that it reads. The index of a partition has no name before it is built.
fn described(
    step: &Step,
    role: pg_sys::Oid,
) -> Result<Option<(String, Option<pg_sys::Oid>)>, Failure> {
    let on = match step {
        Step::Whole(_, target) => *target,
        Step::Chosen(_, target) | Step::Keep(_, target) | Step::Collect(_, target) => Some(*target),
        Step::Part { part, .. } => Some(*part),
        Step::Attach { parent, part } => {
            let name = |table: &pg_sys::Oid| crate::names::qualified(*table).unwrap_or_default();
            let text = format!(
                "ALTER INDEX (of {}) ATTACH PARTITION (index of {})",
                name(parent),
                name(part)
            );
            return Ok(Some((text, Some(*part))));
        }
        Step::AttachFound => return Ok(None),
    };
    let command = step.command(&mut Built::default(), role)?;
    Ok(command.map(|command| (command.text, on)))
}

fn size(relation: pg_sys::Oid) -> Option<i64> {
    read_one(
        "the size of the target",
        "SELECT pg_total_relation_size($1)",
        &[relation.into()],
    )
}

/// What a command reads: of an index that is built anew its table.
fn read(relation: pg_sys::Oid) -> Option<i64> {
    read_one(
        "the size of what is read",
        "SELECT CASE WHEN i.indrelid IS NULL THEN pg_total_relation_size($1) ELSE pg_relation_size(i.indrelid) END \
         FROM (SELECT $1::oid AS oid) r LEFT JOIN pg_index i ON i.indexrelid = r.oid",
        &[relation.into()],
    )
}

/// Milliseconds a byte of earlier jobs, and how many there were.
fn history(kind: &str, options: &serde_json::Value) -> (Option<f64>, i64) {
    let query = include_str!("../../sql/queries/job_rate.sql");
    let full = options.get("full") == Some(&serde_json::Value::Bool(true));
    Spi::connect(|client| {
        let arguments = [kind.into(), full.into()];
        let rows = spi("pitcrew.jobs", client.select(query, Some(1), &arguments)).first();
        if rows.is_empty() {
            return (None, 0);
        }
        (
            spi("pitcrew.jobs", rows.get(1)),
            spi::<Option<i64>>("pitcrew.jobs", rows.get(2)).unwrap_or_default(),
        )
    })
}

/// The lock of a command on its table: "Explicit Locking" in the manual, and the notes of each command.
fn lock(command: &str) -> &'static str {
    let starts = |prefix: &str| command.starts_with(prefix);
    if starts("VACUUM (FULL") {
        "ACCESS EXCLUSIVE: nobody reads or writes the table meanwhile"
    } else if starts("REFRESH MATERIALIZED VIEW CONCURRENTLY") {
        "EXCLUSIVE: readers go on"
    } else if starts("REFRESH") {
        "ACCESS EXCLUSIVE: nobody reads the view meanwhile"
    } else if starts("ALTER INDEX") {
        "ACCESS EXCLUSIVE on the part's index, for a moment"
    } else if command.contains(" ON ONLY ") {
        "SHARE on the partitioned table alone, for a moment"
    } else {
        "SHARE UPDATE EXCLUSIVE: readers and writers go on"
    }
}

#[cfg(test)]
mod tests {
    use super::lock;

    #[test]
    fn the_lock_is_the_one_of_the_manual() {
        for (command, wanted) in [
            ("VACUUM (FULL, ANALYZE) t", "ACCESS EXCLUSIVE"),
            ("VACUUM (FREEZE) t", "SHARE UPDATE"),
            ("REINDEX TABLE CONCURRENTLY t", "SHARE UPDATE"),
            ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", "EXCLUSIVE"),
            ("REFRESH MATERIALIZED VIEW v", "ACCESS EXCLUSIVE"),
            ("CREATE INDEX i ON ONLY t (a)", "SHARE on"),
            ("CREATE STATISTICS s (mcv) ON a, b FROM t", "SHARE UPDATE"),
            (
                "ALTER TABLE t ALTER COLUMN a SET STATISTICS 9",
                "SHARE UPDATE",
            ),
        ] {
            assert!(lock(command).starts_with(wanted), "{command}");
        }
    }
}
