//! From a job to the text that runs: built from the relation's OID, with every identifier quoted by the server.

use pgrx::prelude::*;

use super::spec::Spec;
use crate::failure::{Failure, read_one};
use crate::{compat, names};

/// A command, checked against the catalogue for one role.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// One statement.
    pub(super) text: String,
    /// The relation's OID when the server can be told to use it instead of the name in `text`.
    pub(super) pinned: Option<pg_sys::Oid>,
    /// The name of the index that `text` makes, unquoted, in the schema of its table.
    pub(super) creates: Option<String>,
}

impl Command {
    /// Refuses a name that a relation has already. For the moment of submission: a job that is sure to fail is better
    /// not queued. What is taken later, the server itself refuses when the job runs.
    pub(super) fn refuse_taken_name(&self, target: Option<pg_sys::Oid>) -> Result<(), Failure> {
        let (Some(name), Some(target)) = (&self.creates, target) else {
            return Ok(());
        };
        let text = names::c_string(name)?;
        // SAFETY: catalogue look-ups that answer 0 for what does not exist.
        let taken =
            unsafe { pg_sys::get_relname_relid(text.as_ptr(), pg_sys::get_rel_namespace(target)) };
        if taken == pg_sys::InvalidOid {
            return Ok(());
        }
        Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_TABLE,
            format!("relation {} already exists", names::quote(name)),
        )
        .hint("Give another name as option \"name\", or drop what has it."))
    }
}

/// Builds the command for `role`, or says why it cannot run.
///
/// # Errors
/// The relation is gone, is of the wrong kind or belongs to somebody else, or a column does not exist.
pub(super) fn build(
    spec: &Spec,
    target: Option<pg_sys::Oid>,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    match spec {
        Spec::Vacuum { full, analyze } => {
            let options = [(*full, "FULL"), (*analyze, "ANALYZE")];
            let options: Vec<_> = options
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, name)| *name)
                .collect();
            let verb = match options.as_slice() {
                [] => "VACUUM".to_owned(),
                options => format!("VACUUM ({})", options.join(", ")),
            };
            maintenance(&verb, &["r", "p", "m", "t"], target, role)
        }
        Spec::Analyze => maintenance("ANALYZE", &["r", "p", "m", "f"], target, role),
        Spec::CreateIndex { columns, name } => create_index(columns, name.as_deref(), target, role),
    }
}

fn maintenance(
    verb: &str,
    kinds: &[&str],
    target: Option<pg_sys::Oid>,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    let Some(target) = target else {
        return Ok(Command {
            text: verb.to_owned(),
            pinned: None,
            creates: None,
        });
    };
    let (relation, kind) = relation_of_kind(target, kinds)?;
    if !compat::may_maintain(target, role) {
        return Err(not_owner(&relation));
    }
    // A partitioned table is expanded to its partitions only when it is given by name.
    let pinned = (kind != "p").then_some(target);
    Ok(Command {
        text: format!("{verb} {relation}"),
        pinned,
        creates: None,
    })
}

fn create_index(
    columns: &[String],
    name: Option<&str>,
    target: Option<pg_sys::Oid>,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    let Some(target) = target else {
        return Err(Failure::argument(
            "a job of kind \"create_index\" needs a target table",
        ));
    };
    let (relation, kind) = relation_of_kind(target, &["r", "p", "m"])?;
    if kind == "p" {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("cannot create an index on partitioned table {relation} concurrently"),
        )
        .hint("Queue one job for each partition."));
    }
    if !compat::owns_relation(target, role) {
        return Err(not_owner(&relation));
    }
    for column in columns {
        let text = names::c_string(column)?;
        // SAFETY: a catalogue look-up that answers 0 for a column that does not exist or was dropped.
        if unsafe { pg_sys::get_attnum(target, text.as_ptr()) } <= 0 {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!(
                    "column {} of relation {relation} does not exist",
                    names::quote(column)
                ),
            ));
        }
    }
    let (_, table) = names::relation(target).ok_or_else(|| gone(target))?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => pg_pitcrew_advisor::index_name(&table, columns),
    };
    let list = columns
        .iter()
        .map(|column| names::quote(column))
        .collect::<Vec<_>>()
        .join(", ");
    Ok(Command {
        text: format!(
            "CREATE INDEX CONCURRENTLY {} ON {relation} ({list})",
            names::quote(&name)
        ),
        pinned: None,
        creates: Some(name),
    })
}

/// The statement that removes an index left invalid by a failed build.
///
/// # Errors
/// The index is gone already, became valid, backs a constraint, or is another one than the job created.
pub(super) fn drop_leftover(
    index: pg_sys::Oid,
    target: pg_sys::Oid,
) -> Result<Option<Command>, Failure> {
    let Some(name) = names::qualified(index) else {
        return Ok(None);
    };
    let query = include_str!("../../sql/queries/leftover_index.sql");
    let is_leftover: Option<bool> = read_one("pg_index", query, &[index.into(), target.into()]);
    match is_leftover {
        Some(true) => Ok(Some(Command {
            text: format!("DROP INDEX CONCURRENTLY {name}"),
            pinned: None,
            creates: None,
        })),
        // It is valid, or somebody else's by now: not ours to drop.
        _ => Ok(None),
    }
}

fn relation_of_kind(target: pg_sys::Oid, kinds: &[&str]) -> Result<(String, String), Failure> {
    let relation = names::qualified(target).ok_or_else(|| gone(target))?;
    // SAFETY: a catalogue look-up that answers 0 for a relation that does not exist.
    let kind = unsafe { pg_sys::get_rel_relkind(target) } as u8 as char;
    let kind = kind.to_string();
    if !kinds.contains(&kind.as_str()) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{relation} is not a table that this kind of job can work on"),
        )
        .hint("Give a table or a materialized view."));
    }
    // SAFETY: the relation exists.
    if unsafe { pg_sys::get_rel_persistence(target) } as u8 == b't' {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{relation} is a temporary table, which no other process can work on"),
        ));
    }
    Ok((relation, kind))
}

fn gone(target: pg_sys::Oid) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        format!("relation with OID {} does not exist", target.to_u32()),
    )
}

fn not_owner(relation: &str) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("must be owner of {relation}"),
    )
    .hint("The job runs with the rights of the role that submits it.")
}
