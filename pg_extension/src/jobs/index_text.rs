//! What stands behind the table's name in `CREATE INDEX`: written from columns, or given and read as the server reads it.

use pgrx::prelude::*;

use super::spec::Over;
use crate::failure::{Failure, read_one};
use crate::lists::pointers;
use crate::names;
use crate::owner::as_owner;
use crate::whatif::definition::analysed;

/// As `CREATE INDEX` has it behind the table's name.
pub(super) fn list(over: &Over) -> String {
    match over {
        Over::Definition(definition) => definition.clone(),
        Over::Columns { keys, include } if include.is_empty() => {
            format!("({})", quoted(keys))
        }
        Over::Columns { keys, include } => {
            format!("({}) INCLUDE ({})", quoted(keys), quoted(include))
        }
    }
}

/// A list of columns, each quoted where it needs to be.
pub(super) fn quoted(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| names::quote(column)).collect();
    quoted.join(", ")
}

/// # Errors
/// A column that the table does not have.
pub(super) fn check_columns<'a>(
    table: pg_sys::Oid,
    relation: &str,
    columns: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    for column in columns {
        let text = names::c_string(column)?;
        // SAFETY: a catalogue look-up that answers 0 for a column that does not exist or was dropped.
        if unsafe { pg_sys::get_attnum(table, text.as_ptr()) } <= 0 {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!(
                    "column {} of relation {relation} does not exist",
                    names::quote(column)
                ),
            ));
        }
    }
    Ok(())
}

/// Reads a definition on one table and answers words for a name. What the server does not understand it says in its own words.
///
/// # Errors
/// A text that is more, or something else, than the rest of one `CREATE INDEX`.
pub(super) fn read(
    table: pg_sys::Oid,
    relation: &str,
    definition: &str,
) -> Result<Vec<String>, Failure> {
    let text = format!("CREATE INDEX ON {relation} {definition}");
    let text = names::c_string(&text)?;
    let wrong = || {
        Failure::argument("option \"definition\" is not the rest of one CREATE INDEX").hint(
            "Give what stands behind the table's name, as in \"USING gin (tags) WHERE deleted_at IS NULL\".",
        )
    };
    // SAFETY: trees in the current memory context; casts follow the nodes' tags. The lock is that of a reader.
    unsafe {
        let &[raw] = pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(text.as_ptr())) else {
            return Err(wrong());
        };
        if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_IndexStmt {
            return Err(wrong());
        }
        let statement = (*raw).stmt.cast::<pg_sys::IndexStmt>();
        // A text that begins with a point would go on with the table's name.
        let on = (*statement).relation;
        let named = names::text((*on).schemaname).zip(names::text((*on).relname));
        if !(*on).catalogname.is_null() || named != names::relation(table) {
            return Err(wrong());
        }
        pg_sys::LockRelationOid(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        // Reading it runs its functions: as the table's owner and nobody else, as the server does when it builds the index.
        as_owner(owner_of(table)?, || {
            let statement = analysed(table, statement, &text);
            words(table, relation, statement)
        })
    }
}

fn owner_of(table: pg_sys::Oid) -> Result<pg_sys::Oid, Failure> {
    let owner: Option<pg_sys::Oid> = read_one(
        "pg_class",
        "SELECT c.relowner FROM pg_class c WHERE c.oid = $1",
        &[table.into()],
    );
    owner.ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("relation with OID {} does not exist", table.to_u32()),
        )
    })
}

/// Checks an analysed statement and answers words for a name.
unsafe fn words(
    table: pg_sys::Oid,
    relation: &str,
    statement: *mut pg_sys::IndexStmt,
) -> Result<Vec<String>, Failure> {
    // SAFETY: lists of the nodes that IndexStmt's definition says.
    unsafe {
        pg_sys::get_index_am_oid((*statement).accessMethod, false);
        let keys = pointers::<pg_sys::IndexElem>((*statement).indexParams);
        let stored = pointers::<pg_sys::IndexElem>((*statement).indexIncludingParams);
        let named: Vec<String> = keys
            .iter()
            .chain(stored)
            .filter_map(|key| names::text((**key).name))
            .collect();
        check_columns(table, relation, named.iter())?;
        check_immutable((*statement).whereClause, "an index predicate")?;
        for key in keys {
            check_immutable((**key).expr, "an index expression")?;
        }
        Ok(keys
            .iter()
            .map(|key| names::text((**key).name).unwrap_or_else(|| "expr".to_owned()))
            .collect())
    }
}

/// What the server checks when it builds the index, soon enough to refuse the job.
unsafe fn check_immutable(expression: *mut pg_sys::Node, what: &str) -> Result<(), Failure> {
    if expression.is_null() {
        return Ok(());
    }
    // SAFETY: an analysed expression.
    unsafe {
        let planned = pg_sys::expression_planner(expression.cast());
        if !pg_sys::contain_mutable_functions(planned.cast()) {
            return Ok(());
        }
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
        format!("functions in {what} must be marked IMMUTABLE"),
    ))
}
