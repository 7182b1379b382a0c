//! What operators mean for an index.

use std::rc::Rc;

use pgrx::prelude::*;

use crate::failure::{read_one, spi};
use crate::names;
use crate::text::plain;

/// What a comparison means for a B-tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Equal,
    Range,
}

/// `text ~~ text`, `character ~~ text`, `name ~~ text` and `text ^@ text` (pg_operator.dat).
const LIKE: [u32; 3] = [1209, 1211, 1207];
const STARTS_WITH: u32 = 3877;
/// `jsonb_path_ops` of GIN (pg_opfamily.dat): keys are whole paths, so that it is smaller and knows `@>` and paths alone.
const JSONB_PATHS: u32 = 4037;

/// What an operator means for a B-tree on a column of this type.
pub(super) unsafe fn kind(operator: pg_sys::Oid, column: pg_sys::Oid) -> Option<Kind> {
    // SAFETY: catalogue look-ups.
    unsafe {
        match strategy(operator, column)? {
            3 => Some(Kind::Equal),
            1 | 2 | 4 | 5 => Some(Kind::Range),
            _ => None,
        }
    }
}

unsafe fn strategy(operator: pg_sys::Oid, column: pg_sys::Oid) -> Option<i32> {
    // SAFETY: catalogue look-ups that answer 0 for what does not exist.
    unsafe {
        let class = pg_sys::GetDefaultOpClass(column, pg_sys::BTREE_AM_OID);
        if class == pg_sys::InvalidOid || operator == pg_sys::InvalidOid {
            return None;
        }
        let strategy =
            pg_sys::get_op_opfamily_strategy(operator, pg_sys::get_opclass_family(class));
        (strategy != 0).then_some(strategy)
    }
}

pub(super) unsafe fn is_descending(operator: pg_sys::Oid, column: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups. Strategy 5 is `>`.
    unsafe { strategy(operator, column) == Some(5) }
}

/// Operator classes of GIN that answer the operator on a column of this type; `None` is the default one.
pub(super) unsafe fn inside(
    operator: pg_sys::Oid,
    column: pg_sys::Oid,
    trigrams: Option<&Trigrams>,
) -> Vec<Option<Rc<str>>> {
    let mut found = Vec::new();
    // SAFETY: catalogue look-ups that answer 0 for what does not exist.
    unsafe {
        let has = |family: pg_sys::Oid| pg_sys::get_op_opfamily_strategy(operator, family) != 0;
        let class = pg_sys::GetDefaultOpClass(column, pg_sys::GIN_AM_OID);
        if class != pg_sys::InvalidOid && has(pg_sys::get_opclass_family(class)) {
            found.push(None);
        }
        if column == pg_sys::JSONBOID && has(JSONB_PATHS.into()) {
            found.push(Some("jsonb_path_ops".into()));
        }
        let is_text = matches!(column, pg_sys::TEXTOID | pg_sys::VARCHAROID);
        if let Some(trigrams) = trigrams.filter(|trigrams| is_text && has(trigrams.family)) {
            found.push(Some(Rc::clone(&trigrams.class)));
        }
    }
    found
}

/// pg_trgm's operator class for GIN.
pub(crate) struct Trigrams {
    /// Its name as SQL.
    class: Rc<str>,
    family: pg_sys::Oid,
}

impl Trigrams {
    /// Where the extension is installed.
    pub(crate) fn find() -> Option<Self> {
        Spi::connect(|client| {
            let query = include_str!("../../../sql/queries/trigram_class.sql");
            let mut rows = spi("pg_opclass", client.select(query, Some(1), &[]));
            let row = rows.next()?;
            let class = plain(spi("pg_opclass", row.get(1)))?;
            let family = spi("pg_opclass", row.get(2))?;
            Some(Self {
                class: class.into(),
                family,
            })
        })
    }
}

/// How a B-tree finds what begins with a text.
pub(super) enum Prefix {
    /// By the operator class, where the collation does not sort by bytes.
    Class(&'static str),
    /// By the default one.
    Default,
}

/// What an index needs for the pattern; `None` where it does not begin with a text, or is not known.
pub(super) unsafe fn prefix(
    operator: pg_sys::Oid,
    column: pg_sys::Oid,
    collation: pg_sys::Oid,
    pattern: *const pg_sys::Const,
) -> Option<Prefix> {
    // SAFETY: a constant of the operator's right type, which is text.
    let text = unsafe {
        if (*pattern).constisnull || (*pattern).consttype != pg_sys::TEXTOID {
            return None;
        }
        names::text(pg_sys::text_to_cstring(
            (*pattern).constvalue.cast_mut_ptr(),
        ))?
    };
    let operator = operator.to_u32();
    let begins = match operator {
        STARTS_WITH => !text.is_empty(),
        _ => LIKE.contains(&operator) && !text.is_empty() && !text.starts_with(['%', '_']),
    };
    if !begins {
        return None;
    }
    let class = match column {
        pg_sys::TEXTOID | pg_sys::VARCHAROID => "text_pattern_ops",
        pg_sys::BPCHAROID => "bpchar_pattern_ops",
        _ => return Some(Prefix::Default),
    };
    let query = include_str!("../../../sql/queries/sorts_by_bytes.sql");
    let by_bytes: Option<bool> = read_one("pg_collation", query, &[collation.into()]);
    if by_bytes == Some(true) {
        Some(Prefix::Default)
    } else {
        Some(Prefix::Class(class))
    }
}
