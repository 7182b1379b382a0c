//! Reads `CREATE INDEX ...` the way the server does, without running it.

mod reader;

use std::ffi::{CStr, c_char};

use pg_pitcrew_advisor::index_name;
use pgrx::prelude::*;

use super::column::is_equal_image;
use super::hypothetical::Hypothetical;
use super::table::is_system;
use crate::failure::read_text;
use crate::lists::pointers;
use crate::names;
use crate::text;
use crate::workload::analysis::Context;
use reader::{Options, Reader, written};

// Headers that pgrx does not bind.
unsafe extern "C-unwind" {
    fn transformIndexStmt(
        relation: pg_sys::Oid,
        statement: *mut pg_sys::IndexStmt,
        text: *const c_char,
    ) -> *mut pg_sys::IndexStmt;
    fn find_all_inheritors(
        parent: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// Longest definition that is read.
const MAX_TEXT_BYTES: usize = 10_000;
/// `pg_global` (`pg_tablespace.dat`).
const GLOBAL_TABLESPACE: u32 = 1664;
/// Leaves of a partitioned table that are looked at.
const MAX_PARTS: usize = 1_000;

/// Access methods whose size and cost can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// `btree`.
    Btree,
    /// `hash`.
    Hash,
    /// `gin`.
    Gin,
    /// `brin`.
    Brin,
}

impl Method {
    fn of(oid: pg_sys::Oid) -> Option<Self> {
        [
            (pg_sys::BTREE_AM_OID, Self::Btree),
            (pg_sys::HASH_AM_OID, Self::Hash),
            (pg_sys::GIN_AM_OID, Self::Gin),
            (pg_sys::BRIN_AM_OID, Self::Brin),
        ]
        .into_iter()
        .find_map(|(known, method)| (known == oid).then_some(method))
    }

    /// Its name in SQL.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Btree => "btree",
            Self::Hash => "hash",
            Self::Gin => "gin",
            Self::Brin => "brin",
        }
    }
}

/// What a `CREATE INDEX` says.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    /// The table that it names.
    pub(crate) table: pg_sys::Oid,
    /// Access method.
    pub(crate) method: Method,
    /// The relation that has its name already, unless it says IF NOT EXISTS.
    pub(crate) taken: Option<pg_sys::Oid>,
    /// One index for each table with rows of its own: the leaves where `table` is partitioned.
    pub(crate) parts: Vec<Part>,
}

/// The index on one table.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// For the planner; size and statistics still to be filled in.
    pub(crate) index: Hypothetical,
    /// SQL of each column, over the table.
    pub(crate) columns: Vec<String>,
    /// SQL of the predicate.
    pub(crate) predicate: Option<String>,
    /// Operator classes, of the keys.
    pub(crate) classes: Vec<pg_sys::Oid>,
    /// Equal keys are stored once.
    pub(crate) deduplicates: bool,
    /// `fillfactor`.
    pub(crate) fill_percent: Option<u64>,
    /// `pages_per_range`.
    pub(crate) pages_a_range: Option<f64>,
}

impl Part {
    /// The name of its access method in SQL.
    pub(crate) fn method_name(&self) -> &'static str {
        Method::of(self.index.method).map_or("", Method::as_str)
    }
}

/// Reads one definition; errors of the server's own (a column that does not exist) are raised.
///
/// Call inside `guarded`, after `analysis::enter`.
///
/// # Errors
/// The reason why it is not predicted.
pub(crate) fn read(text: &CStr, context: &Context) -> Result<Definition, String> {
    if text.to_bytes().len() > MAX_TEXT_BYTES {
        return Err(format!(
            "the definition is longer than {MAX_TEXT_BYTES} bytes"
        ));
    }
    // SAFETY: everything is allocated in the current context; casts follow the nodes' tags.
    unsafe {
        let &[raw] = pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(text.as_ptr())) else {
            return Err("not one CREATE INDEX statement".to_owned());
        };
        if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_IndexStmt {
            return Err("not a CREATE INDEX statement".to_owned());
        }
        context.trust().check_literals(raw)?;
        let statement = (*raw).stmt.cast::<pg_sys::IndexStmt>();
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let table = pg_sys::RangeVarGetRelidExtended(
            (*statement).relation,
            lock,
            0,
            None,
            std::ptr::null_mut(),
        );
        check_table(table)?;
        let oid = pg_sys::get_index_am_oid((*statement).accessMethod, false);
        let method = Method::of(oid).ok_or_else(|| {
            format!(
                "access method {} is not predicted: btree, hash, gin and brin are",
                names::text((*statement).accessMethod).unwrap_or_default()
            )
        })?;
        let leaves = if pg_sys::get_rel_relkind(table) as u8 == b'p' {
            check_partitioned(table, statement)?;
            leaves(table)
        } else {
            vec![table]
        };
        if leaves.len() > MAX_PARTS {
            return Err(format!("the table has more than {MAX_PARTS} partitions"));
        }
        let mut parts = Vec::new();
        for leaf in leaves {
            let statement = analysed(leaf, statement, text);
            parts.push(part(leaf, statement, oid, method, context)?);
        }
        Ok(Definition {
            table,
            method,
            taken: taken(table, statement),
            parts,
        })
    }
}

/// A parsed `CREATE INDEX` on one table, its expressions analysed; what the server does not understand it says in its own words.
///
/// # Safety
/// The statement was parsed from `text`, and the table is locked.
pub(crate) unsafe fn analysed(
    table: pg_sys::Oid,
    statement: *mut pg_sys::IndexStmt,
    text: &CStr,
) -> *mut pg_sys::IndexStmt {
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| transformIndexStmt(table, statement, text.as_ptr()))
    }
}

/// The relation and everything below it that stands in `pg_inherits`.
pub(crate) fn family(parent: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: a list of OIDs in the current context.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            find_all_inheritors(parent, lock, std::ptr::null_mut())
        });
        (0..if list.is_null() { 0 } else { (*list).length })
            .map(|position| (*(*list).elements.add(position as usize)).oid_value)
            .collect()
    }
}

fn leaves(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut found = family(table);
    // SAFETY: a catalogue look-up. The server skips foreign partitions too.
    found.retain(|oid| unsafe { pg_sys::get_rel_relkind(*oid) as u8 == b'r' });
    found
}

fn check_table(table: pg_sys::Oid) -> Result<(), String> {
    let name = names::qualified(table).unwrap_or_default();
    // SAFETY: catalogue look-ups for a relation that is locked.
    unsafe {
        let why = match pg_sys::get_rel_relkind(table) as u8 {
            b'r' | b'm' | b'p' => None,
            b'f' => Some("is a foreign table: its rows and their indexes are another server's"),
            b'v' => Some("is a view: index the tables that it reads"),
            _ => Some("is not a table"),
        };
        if let Some(why) = why {
            return Err(format!("{name} {why}"));
        }
        if names::relation(table).is_some_and(|(schema, _)| is_system(&schema)) {
            return Err(format!("{name} belongs to the system"));
        }
        let mode = pg_sys::ACL_SELECT as pg_sys::AclMode;
        if pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), mode)
            != pg_sys::AclResult::ACLCHECK_OK
        {
            return Err(format!("permission denied to read {name}"));
        }
    }
    Ok(())
}

/// Raises what the server says of options and a tablespace that it does not take.
unsafe fn check_storage(
    statement: *mut pg_sys::IndexStmt,
    routine: *mut pg_sys::IndexAmRoutine,
) -> Result<(), String> {
    // SAFETY: an analysed statement, and the routine of its method.
    unsafe {
        let options = pg_sys::transformRelOptions(
            pg_sys::Datum::null(),
            (*statement).options,
            std::ptr::null(),
            std::ptr::null_mut(),
            false,
            false,
        );
        pg_sys::index_reloptions((*routine).amoptions, options, true);
        if !(*statement).tableSpace.is_null() {
            let tablespace = pg_sys::get_tablespace_oid((*statement).tableSpace, false);
            if tablespace.to_u32() == GLOBAL_TABLESPACE {
                return Err("only shared relations can be placed in pg_global".to_owned());
            }
        }
        Ok(())
    }
}

/// The relation that has the name already which a definition gives to its index.
unsafe fn taken(table: pg_sys::Oid, statement: *mut pg_sys::IndexStmt) -> Option<pg_sys::Oid> {
    // SAFETY: a parsed statement, whose table is locked.
    unsafe {
        if (*statement).idxname.is_null() || (*statement).if_not_exists {
            return None;
        }
        let schema = pg_sys::get_rel_namespace(table);
        let found = pg_sys::get_relname_relid((*statement).idxname, schema);
        (found != pg_sys::InvalidOid).then_some(found)
    }
}

/// What the server refuses of a partitioned table.
unsafe fn check_partitioned(
    table: pg_sys::Oid,
    statement: *mut pg_sys::IndexStmt,
) -> Result<(), String> {
    // SAFETY: a parsed statement.
    unsafe {
        if !(*(*statement).relation).inh {
            return Err(
                "ON ONLY makes no index of any partition: nothing would be looked up in it"
                    .to_owned(),
            );
        }
        if !(*statement).unique {
            return Ok(());
        }
        let keys = pointers::<pg_sys::IndexElem>((*statement).indexParams);
        let keys: Vec<String> = keys
            .iter()
            .filter_map(|key| names::text((**key).name))
            .collect();
        let missing = read_text(
            "pg_partitioned_table",
            include_str!("../../../sql/queries/partition_key_missing.sql"),
            &[table.into(), text::all(keys).into()],
        );
        missing.map_or(Ok(()), |missing| {
            Err(format!(
                "a unique index on a partitioned table has all columns of the partition key, and lacks {missing}"
            ))
        })
    }
}

unsafe fn part(
    table: pg_sys::Oid,
    statement: *mut pg_sys::IndexStmt,
    oid: pg_sys::Oid,
    method: Method,
    context: &Context,
) -> Result<Part, String> {
    // SAFETY: the tree was just made; see above.
    unsafe {
        let routine = pg_sys::GetIndexAmRoutineByAmId(oid, false);
        let relation = names::text(pg_sys::get_rel_name(table)).unwrap_or_default();
        let mut reader = Reader {
            table,
            relation: names::c_string(&relation).map_err(|failure| failure.message)?,
            oid,
            method,
            context,
            columns: Vec::new(),
            shown: Vec::new(),
            classes: Vec::new(),
            expressions: std::ptr::null_mut(),
        };
        check_storage(statement, routine)?;
        let keys = pointers::<pg_sys::IndexElem>((*statement).indexParams);
        let stored = pointers::<pg_sys::IndexElem>((*statement).indexIncludingParams);
        if keys.len() > 1 && !(*routine).amcanmulticol {
            return Err(format!("a {} index has one column", method.as_str()));
        }
        if (*statement).unique && !(*routine).amcanunique {
            return Err(format!("a {} index cannot be unique", method.as_str()));
        }
        if !stored.is_empty() && !(*routine).amcaninclude {
            return Err(format!("a {} index has no INCLUDE", method.as_str()));
        }
        if keys.len() + stored.len() > pg_sys::INDEX_MAX_KEYS as usize {
            return Err(format!(
                "an index has at most {} columns",
                pg_sys::INDEX_MAX_KEYS
            ));
        }
        for &element in keys {
            reader.key(element)?;
        }
        for &element in stored {
            reader.stored(element)?;
        }
        let predicate = reader.predicate((*statement).whereClause)?;
        let name = names::text((*statement).idxname)
            .unwrap_or_else(|| index_name(&relation, &reader.words(keys)));
        let unique = (*statement).unique;
        let options = Options::read((*statement).options);
        // Support function 4 is this one in a B-tree's family alone.
        let deduplicates = method == Method::Btree
            && stored.is_empty()
            && !unique
            && options.deduplicates
            && reader
                .columns
                .iter()
                .all(|key| is_equal_image(key.family, key.input_type, key.index_collation));
        Ok(Part {
            deduplicates,
            fill_percent: options.fill_percent,
            pages_a_range: options.pages_a_range,
            predicate: predicate.as_ref().map(|(_, shown)| shown.clone()),
            index: Hypothetical {
                table,
                name: names::c_string(&name).map_err(|failure| failure.message)?,
                method: oid,
                keys: keys.len(),
                expressions: written(reader.expressions),
                predicate: predicate.and_then(|(list, _)| written(list)),
                unique,
                pages: 0,
                height: 0,
                tuples: None,
                statistics: vec![None; reader.columns.len()],
                columns: reader.columns,
            },
            columns: reader.shown,
            classes: reader.classes,
        })
    }
}
