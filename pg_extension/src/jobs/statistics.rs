//! The commands of kind `statistics`: what ANALYZE keeps from now on, and the ANALYZE that collects it.

use pgrx::prelude::*;

use super::command::{Command, gone, not_owner, relation_of_kind};
use super::index_text::{check_columns, quoted};
use super::spec::{Kept, Statistics};
use crate::failure::{Failure, read_one};
use crate::text::Text;
use crate::{compat, names};

/// Numbers tried behind a name that is taken.
const TRIED_NAMES: u32 = 100;

/// What changes the catalogue; `None` where statistics like these are there already.
///
/// # Errors
/// The table is gone, is of the wrong kind or belongs to somebody else, a column does not exist or has no order, or the name
/// is taken.
pub(super) fn change(
    wanted: &Statistics,
    table: pg_sys::Oid,
    role: pg_sys::Oid,
) -> Result<Option<Command>, Failure> {
    let relation = checked(wanted, table, role)?;
    let text = match &wanted.kept {
        Kept::Target(target) => {
            let set = |column: &String| {
                let column = names::quote(column);
                format!("ALTER COLUMN {column} SET STATISTICS {target}")
            };
            let changes: Vec<String> = wanted.columns.iter().map(set).collect();
            format!("ALTER TABLE {relation} {}", changes.join(", "))
        }
        Kept::Extended { kinds, name } => {
            if is_there(table, &wanted.columns, kinds)? {
                return Ok(None);
            }
            may_create(table, role)?;
            let name = match name {
                Some(name) => free(name, table)?,
                None => made_up(&wanted.columns, table)?,
            };
            format!(
                "CREATE STATISTICS {name} ({}) ON {} FROM {relation}",
                kinds.join(", "),
                quoted(&wanted.columns)
            )
        }
    };
    Ok(Some(Command {
        held: Some(table),
        ..Command::new(text)
    }))
}

/// Collects them.
///
/// # Errors
/// As [`change`].
pub(super) fn analyze(
    wanted: &Statistics,
    table: pg_sys::Oid,
    role: pg_sys::Oid,
) -> Result<Command, Failure> {
    let relation = checked(wanted, table, role)?;
    // SAFETY: the relation exists.
    let is_partitioned = unsafe { pg_sys::get_rel_relkind(table) } as u8 == b'p';
    // A partitioned table is expanded to its partitions only when it is given by name.
    Ok(Command {
        pinned: (!is_partitioned).then_some(table),
        ..Command::new(format!("ANALYZE {relation} ({})", quoted(&wanted.columns)))
    })
}

/// The table's name, where the role may do all of it.
fn checked(wanted: &Statistics, table: pg_sys::Oid, role: pg_sys::Oid) -> Result<String, Failure> {
    let (relation, _) = relation_of_kind(table, &["r", "p", "m", "f"])?;
    if !compat::owns_relation(table, role) {
        return Err(not_owner(&relation));
    }
    check_columns(table, &relation, wanted.columns.iter())?;
    if matches!(wanted.kept, Kept::Extended { .. }) {
        for column in &wanted.columns {
            check_ordered(table, column)?;
        }
    }
    Ok(relation)
}

fn number(table: pg_sys::Oid, column: &str) -> Result<i16, Failure> {
    let name = names::c_string(column)?;
    // SAFETY: a catalogue look-up that answers 0 for a column that does not exist.
    Ok(unsafe { pg_sys::get_attnum(table, name.as_ptr()) })
}

/// What `CREATE STATISTICS` itself asks of a column.
fn check_ordered(table: pg_sys::Oid, column: &str) -> Result<(), Failure> {
    let number = number(table, column)?;
    if has_order(table, number) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!(
            "column {} has a type without an order, which extended statistics need",
            names::quote(column)
        ),
    )
    .hint("Leave it out: statistics are of columns that a B-tree index could have."))
}

/// Whether a B-tree index could have the column, and with it extended statistics.
pub(crate) fn has_order(table: pg_sys::Oid, column: i16) -> bool {
    // SAFETY: look-ups of the catalogue; a type's entry lives as long as the process.
    unsafe {
        let of = pg_sys::get_atttype(table, column);
        of != pg_sys::InvalidOid
            && (*pg_sys::lookup_type_cache(of, pg_sys::TYPECACHE_LT_OPR as i32)).lt_opr
                != pg_sys::InvalidOid
    }
}

fn is_there(
    table: pg_sys::Oid,
    columns: &[String],
    kinds: &[&'static str],
) -> Result<bool, Failure> {
    let numbers: Vec<i16> = columns
        .iter()
        .map(|column| number(table, column))
        .collect::<Result<_, _>>()?;
    // As `stxkind` has them (STATS_EXT_NDISTINCT and its like).
    let letters: Vec<&str> = kinds
        .iter()
        .map(|kind| match *kind {
            "ndistinct" => "d",
            "dependencies" => "f",
            _ => "m",
        })
        .collect();
    let found: Option<pg_sys::Oid> = read_one(
        "pg_statistic_ext",
        include_str!("../../sql/queries/statistics_like.sql"),
        &[table.into(), numbers.into(), letters.into()],
    );
    Ok(found.is_some())
}

/// The object comes into its table's schema.
fn may_create(table: pg_sys::Oid, role: pg_sys::Oid) -> Result<(), Failure> {
    let may: Option<bool> = read_one(
        "pg_namespace",
        "SELECT has_schema_privilege($1, c.relnamespace, 'CREATE') FROM pg_class c WHERE c.oid = $2",
        &[role.into(), table.into()],
    );
    match may {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "extended statistics are made in the schema of their table, where the role has no CREATE",
        )
        .hint("GRANT CREATE ON SCHEMA to it.")),
        None => Err(gone(table)),
    }
}

/// The name with the table's schema, quoted, and whether it is taken.
fn qualified(name: &str, table: pg_sys::Oid) -> Result<(String, bool), Failure> {
    let (schema, _) = names::relation(table).ok_or_else(|| gone(table))?;
    let is_taken: Option<bool> = read_one(
        "pg_statistic_ext",
        "SELECT EXISTS (SELECT 1 FROM pg_statistic_ext s JOIN pg_class c ON c.relnamespace = s.stxnamespace \
                        WHERE c.oid = $1 AND s.stxname::text = $2)",
        &[table.into(), Text::from(name).into()],
    );
    let name = format!("{}.{}", names::quote(&schema), names::quote(name));
    Ok((name, is_taken == Some(true)))
}

fn free(name: &str, table: pg_sys::Oid) -> Result<String, Failure> {
    let (qualified, is_taken) = qualified(name, table)?;
    if !is_taken {
        return Ok(qualified);
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        format!("statistics object {qualified} already exists, of other columns or kinds"),
    )
    .hint("Give another name as option \"name\", or drop what has it."))
}

/// `table_column_column_stat`, with a number where that is taken, as the server itself names them.
fn made_up(columns: &[String], table: pg_sys::Oid) -> Result<String, Failure> {
    // SAFETY: a catalogue look-up that answers null for a relation that is gone.
    let relation = unsafe { pg_sys::get_rel_name(table) };
    if relation.is_null() {
        return Err(gone(table));
    }
    let columns = names::c_string(&columns.join("_"))?;
    for attempt in 0..TRIED_NAMES {
        let label = match attempt {
            0 => "stat".to_owned(),
            attempt => format!("stat{attempt}"),
        };
        let label = names::c_string(&label)?;
        // SAFETY: the server cuts what is too long at a character, and answers a string of its own.
        let name = unsafe {
            names::text(pg_sys::makeObjectName(
                relation,
                columns.as_ptr(),
                label.as_ptr(),
            ))
        };
        let (qualified, is_taken) = qualified(&name.unwrap_or_default(), table)?;
        if !is_taken {
            return Ok(qualified);
        }
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        "every name for the statistics object that was tried is taken",
    )
    .hint("Give one as option \"name\"."))
}
