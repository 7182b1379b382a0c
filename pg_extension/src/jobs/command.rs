//! From one step of a job to the text that runs: built from the relation's OID, with every identifier quoted by the
//! server, and checked against the catalogue for one role.

use pgrx::prelude::*;

use super::spec::{Over, Spec, Vacuum};
use super::{index_text, statistics};
use crate::failure::{Failure, read_one, read_text};
use crate::{compat, names};

/// A command that may run.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// One statement.
    pub(super) text: String,
    /// The relation's OID when the server can be told to use it instead of the name in `text`.
    pub(super) pinned: Option<pg_sys::Oid>,
    /// The relation that is held by a lock of the session meanwhile, so that its name goes on meaning it.
    pub(super) held: Option<pg_sys::Oid>,
    /// The name of the index that `text` makes, unquoted, in the schema of its table.
    pub(super) creates: Option<String>,
    /// The table that an index which `text` makes has to be on.
    pub(super) builds_on: Option<pg_sys::Oid>,
}

impl Command {
    pub(crate) fn new(text: String) -> Self {
        Self {
            text,
            pinned: None,
            held: None,
            creates: None,
            builds_on: None,
        }
    }

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

/// Builds the command of a job on one relation, or says why it cannot run.
///
/// # Errors
/// The relation is gone, is of the wrong kind or belongs to somebody else, or a column does not exist.
pub(super) fn build(
    spec: &Spec,
    target: Option<pg_sys::Oid>,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    if let Some(name) = spec.name() {
        names::fits(name)?;
    }
    match (spec, target) {
        (Spec::Vacuum(options), _) => {
            maintenance(&vacuum(options), &["r", "p", "m", "t"], target, role)
        }
        (Spec::Analyze, _) => maintenance("ANALYZE", &["r", "p", "m", "f"], target, role),
        (Spec::CreateIndex { over, name }, Some(table)) => {
            create_index(over, name.as_deref(), table, role)
        }
        (Spec::Reindex, Some(target)) => reindex(target, role),
        (Spec::DropIndex, Some(index)) => drop_index(index, role),
        (Spec::RefreshMatview { concurrently }, Some(view)) => refresh(*concurrently, view, role),
        (Spec::Statistics(wanted), Some(table)) => match statistics::change(wanted, table, role)? {
            Some(command) => Ok(command),
            None => statistics::analyze(wanted, table, role),
        },
        (Spec::Many(_), _) => Err(Failure::argument(
            "a job over many relations has no command",
        )),
        (_, None) => Err(Failure::argument("a job of this kind needs a target")),
    }
}

fn vacuum(options: &Vacuum) -> String {
    let mut list: Vec<String> = [
        (options.full, "FULL"),
        (options.freeze, "FREEZE"),
        (options.analyze, "ANALYZE"),
    ]
    .iter()
    .filter(|(on, _)| *on)
    .map(|(_, name)| (*name).to_owned())
    .collect();
    list.extend(
        options
            .parallel
            .map(|workers| format!("PARALLEL {workers}")),
    );
    list.extend(
        options
            .index_cleanup
            .map(|how| format!("INDEX_CLEANUP {how}")),
    );
    if list.is_empty() {
        "VACUUM".to_owned()
    } else {
        format!("VACUUM ({})", list.join(", "))
    }
}

fn maintenance(
    verb: &str,
    kinds: &[&str],
    target: Option<pg_sys::Oid>,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    let Some(target) = target else {
        return Ok(Command::new(verb.to_owned()));
    };
    let (relation, kind) = relation_of_kind(target, kinds)?;
    if !compat::may_maintain(target, role) {
        return Err(must_be(compat::MAINTAINER, &relation));
    }
    // A partitioned table is expanded to its partitions only when it is given by name.
    Ok(Command {
        pinned: (kind != "p").then_some(target),
        ..Command::new(format!("{verb} {relation}"))
    })
}

fn reindex(target: pg_sys::Oid, role: pg_sys::Oid) -> Result<Command, Failure> {
    let (relation, kind) = relation_of_kind(target, &["r", "m", "i", "p", "I"])?;
    // SAFETY: a catalogue look-up that answers 0 for an index that is gone.
    let table = match kind.as_str() {
        "i" | "I" => unsafe { pg_sys::IndexGetRelation(target, true) },
        _ => target,
    };
    if table == pg_sys::InvalidOid {
        return Err(gone(target));
    }
    if !compat::may_maintain(table, role) {
        return Err(must_be(compat::MAINTAINER, &relation));
    }
    let what = if table == target { "TABLE" } else { "INDEX" };
    Ok(Command {
        held: Some(target),
        ..Command::new(format!("REINDEX {what} CONCURRENTLY {relation}"))
    })
}

fn refresh(concurrently: bool, view: pg_sys::Oid, role: pg_sys::Oid) -> Result<Command, Failure> {
    let (relation, _) = relation_of_kind(view, &["m"])?;
    if !compat::may_maintain(view, role) {
        return Err(must_be(compat::MAINTAINER, &relation));
    }
    let how = if concurrently { "CONCURRENTLY " } else { "" };
    Ok(Command {
        held: Some(view),
        ..Command::new(format!("REFRESH MATERIALIZED VIEW {how}{relation}"))
    })
}

fn drop_index(index: pg_sys::Oid, role: pg_sys::Oid) -> Result<Command, Failure> {
    let (relation, _) = relation_of_kind(index, &["i"])?;
    if !compat::owns_relation(index, role) {
        return Err(not_owner(&relation));
    }
    let query = include_str!("../../sql/queries/droppable_index.sql");
    if let Some(reason) = read_text("pitcrew.jobs", query, &[index.into()]) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("index {relation} is not dropped: {reason}"),
        )
        .hint("A job drops only an index that a finished create_index job made. Drop others yourself."));
    }
    Ok(Command {
        held: Some(index),
        ..Command::new(format!("DROP INDEX CONCURRENTLY {relation}"))
    })
}

fn create_index(
    over: &Over,
    name: Option<&str>,
    target: pg_sys::Oid,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    let (relation, kind) = relation_of_kind(target, &["r", "p", "m"])?;
    if !compat::owns_relation(target, role) {
        return Err(not_owner(&relation));
    }
    let words = match over {
        Over::Columns { keys, include } => {
            index_text::check_columns(target, &relation, keys.iter().chain(include))?;
            keys.clone()
        }
        Over::Definition(definition) => index_text::read(target, &relation, definition)?,
    };
    let (_, table) = names::relation(target).ok_or_else(|| gone(target))?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => pg_pitcrew_advisor::index_name(&table, &words),
    };
    let quoted = names::quote(&name);
    let list = index_text::list(over);
    // A partitioned table takes no concurrent build: its partitions are built one by one (`plan`).
    let text = if kind == "p" {
        format!("CREATE INDEX {quoted} ON ONLY {relation} {list}")
    } else {
        format!("CREATE INDEX CONCURRENTLY {quoted} ON {relation} {list}")
    };
    Ok(Command {
        creates: Some(name),
        builds_on: Some(target),
        ..Command::new(text)
    })
}

/// Builds the index of one partition; the server names it.
///
/// # Errors
/// As [`build`].
pub(super) fn create_part(
    over: &Over,
    part: pg_sys::Oid,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    let (relation, kind) = relation_of_kind(part, &["r", "p"])?;
    if !compat::owns_relation(part, role) {
        return Err(not_owner(&relation));
    }
    if let Over::Definition(definition) = over {
        index_text::read(part, &relation, definition)?;
    }
    let how = if kind == "p" {
        "ON ONLY"
    } else {
        "CONCURRENTLY ON"
    };
    Ok(Command {
        builds_on: Some(part),
        ..Command::new(format!(
            "CREATE INDEX {how} {relation} {}",
            index_text::list(over)
        ))
    })
}

/// Makes partitions' indexes parts of their parents', all or none: each pair is a parent's and a partition's.
///
/// # Errors
/// One of them is gone.
pub(super) fn attach(pairs: &[(pg_sys::Oid, pg_sys::Oid)]) -> Result<Command, Failure> {
    let name = |index| names::qualified(index).ok_or_else(|| gone(index));
    let texts: Vec<String> = pairs
        .iter()
        .map(|(parent, part)| {
            let (parent, part) = (name(*parent)?, name(*part)?);
            Ok(format!("ALTER INDEX {parent} ATTACH PARTITION {part}"))
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Command::new(match texts.as_slice() {
        [only] => only.clone(),
        // One statement, for it is one transaction.
        all => {
            let body = format!("BEGIN {}; END", all.join("; "));
            format!("DO LANGUAGE plpgsql {}", names::literal(&body))
        }
    }))
}

/// The statement that removes an index left by a failed job of `kind` on `table`; `None` when it is gone, became
/// valid, backs a constraint, or is another one than the job made.
pub(super) fn drop_leftover(index: pg_sys::Oid, table: pg_sys::Oid, kind: &str) -> Option<Command> {
    let name = names::qualified(index)?;
    let query = include_str!("../../sql/queries/leftover_index.sql");
    let arguments = [index.into(), table.into(), kind.into()];
    let is_leftover: Option<bool> = read_one("pg_index", query, &arguments);
    if is_leftover != Some(true) {
        return None;
    }
    // SAFETY: the index exists.
    let is_partitioned = unsafe { pg_sys::get_rel_relkind(index) } as u8 == b'I';
    let how = if is_partitioned { "" } else { "CONCURRENTLY " };
    Some(Command {
        held: Some(index),
        ..Command::new(format!("DROP INDEX {how}{name}"))
    })
}

pub(super) fn relation_of_kind(
    target: pg_sys::Oid,
    kinds: &[&str],
) -> Result<(String, String), Failure> {
    let relation = names::qualified(target).ok_or_else(|| gone(target))?;
    // SAFETY: a catalogue look-up that answers 0 for a relation that does not exist.
    let kind = unsafe { pg_sys::get_rel_relkind(target) } as u8 as char;
    let kind = kind.to_string();
    if !kinds.contains(&kind.as_str()) {
        let wanted: Vec<_> = kinds.iter().map(|kind| kind_name(kind)).collect();
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{relation} is not a relation that this kind of job can work on"),
        )
        .hint(format!("Give a {}.", wanted.join(" or a "))));
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

fn kind_name(kind: &str) -> &'static str {
    match kind {
        "r" => "table",
        "p" => "partitioned table",
        "m" => "materialized view",
        "t" => "TOAST table",
        "f" => "foreign table",
        "I" => "partitioned index",
        _ => "plain index",
    }
}

pub(super) fn gone(target: pg_sys::Oid) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        format!("relation with OID {} does not exist", target.to_u32()),
    )
}

pub(super) fn not_owner(relation: &str) -> Failure {
    must_be("owner of", relation)
}

fn must_be(who: &str, relation: &str) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("must be {who} {relation}"),
    )
    .hint("The job runs with the rights of the role that submits it.")
}
