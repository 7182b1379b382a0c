//! The parts of an analysed `CREATE INDEX`, as `ComputeIndexAttrs` reads them.

use std::ffi::{CStr, CString, c_char};

use pgrx::prelude::*;

use super::Method;
use crate::lists::pointers;
use crate::names;
use crate::whatif::hypothetical::Key;
use crate::workload::analysis::Context;

/// Reads keys, stored columns and the predicate of one analysed statement.
pub(super) struct Reader<'a> {
    pub(super) table: pg_sys::Oid,
    pub(super) relation: CString,
    pub(super) oid: pg_sys::Oid,
    pub(super) method: Method,
    pub(super) context: &'a Context,
    pub(super) columns: Vec<Key>,
    pub(super) shown: Vec<String>,
    pub(super) classes: Vec<pg_sys::Oid>,
    pub(super) expressions: *mut pg_sys::List,
}

impl Reader<'_> {
    /// One key, as `ComputeIndexAttrs` reads it.
    pub(super) unsafe fn key(&mut self, element: *mut pg_sys::IndexElem) -> Result<(), String> {
        // SAFETY: an element of an analysed statement.
        unsafe {
            let element = &*element;
            let mut key = if element.name.is_null() {
                self.expression(element.expr)?
            } else {
                self.column(element.name)?
            };
            if !element.collation.is_null() {
                if key.collation == pg_sys::InvalidOid {
                    return Err("collations are not supported by the key's type".to_owned());
                }
                key.index_collation = pg_sys::get_collation_oid(element.collation, false);
            }
            let name = names::c_string(self.method.as_str()).map_err(|failure| failure.message)?;
            let class =
                pg_sys::ResolveOpClass(element.opclass, key.type_oid, name.as_ptr(), self.oid);
            pg_sys::get_opclass_opfamily_and_input_type(
                class,
                &mut key.family,
                &mut key.input_type,
            );
            self.class_options(element.opclassopts, class, &key)?;
            let descends = element.ordering == pg_sys::SortByDir::SORTBY_DESC;
            let says_nulls = element.nulls_ordering != pg_sys::SortByNulls::SORTBY_NULLS_DEFAULT;
            let says_order = element.ordering != pg_sys::SortByDir::SORTBY_DEFAULT;
            if (says_order || says_nulls) && self.method != Method::Btree {
                return Err(format!("a {} index has no order", self.method.as_str()));
            }
            key.reverse = descends;
            key.nulls_first = if says_nulls {
                element.nulls_ordering == pg_sys::SortByNulls::SORTBY_NULLS_FIRST
            } else {
                descends
            };
            self.columns.push(key);
            self.classes.push(class);
            Ok(())
        }
    }

    /// Raises what the operator class says of options that it does not take (`index_opclass_options`).
    unsafe fn class_options(
        &self,
        options: *mut pg_sys::List,
        class: pg_sys::Oid,
        key: &Key,
    ) -> Result<(), String> {
        if options.is_null() {
            return Ok(());
        }
        // SAFETY: options of an analysed statement; the support function fills in what it is given, which lives in the current context.
        unsafe {
            let number = (*pg_sys::GetIndexAmRoutineByAmId(self.oid, false)).amoptsprocnum;
            let function = if number == 0 {
                pg_sys::InvalidOid
            } else {
                pg_sys::get_opfamily_proc(key.family, key.input_type, key.input_type, number as i16)
            };
            if function == pg_sys::InvalidOid {
                let name = names::text(pg_sys::generate_opclass_name(class)).unwrap_or_default();
                return Err(format!("operator class {name} has no options"));
            }
            self.context.trust().check_function(function)?;
            let said = pg_sys::transformRelOptions(
                pg_sys::Datum::null(),
                options,
                std::ptr::null(),
                std::ptr::null_mut(),
                false,
                false,
            );
            let mut known = pg_sys::local_relopts::default();
            pg_sys::init_local_reloptions(&mut known, 0);
            pg_sys::OidFunctionCall1Coll(
                function,
                pg_sys::InvalidOid,
                pg_sys::Datum::from(&raw mut known),
            );
            pg_sys::build_local_reloptions(&mut known, said, true);
        }
        Ok(())
    }

    /// A column that is only stored.
    pub(super) unsafe fn stored(&mut self, element: *mut pg_sys::IndexElem) -> Result<(), String> {
        // SAFETY: an element of an analysed statement.
        unsafe {
            if (*element).name.is_null() {
                return Err("INCLUDE takes no expressions".to_owned());
            }
            let element = &*element;
            if element.ordering != pg_sys::SortByDir::SORTBY_DEFAULT
                || element.nulls_ordering != pg_sys::SortByNulls::SORTBY_NULLS_DEFAULT
                || !element.opclass.is_null()
                || !element.collation.is_null()
            {
                return Err(
                    "INCLUDE takes columns alone: no order, operator class or collation".to_owned(),
                );
            }
            let mut key = self.column(element.name)?;
            key.index_collation = pg_sys::InvalidOid;
            self.columns.push(key);
            Ok(())
        }
    }

    unsafe fn column(&mut self, name: *const c_char) -> Result<Key, String> {
        // SAFETY: catalogue look-ups.
        unsafe {
            let number = pg_sys::get_attnum(self.table, name);
            let name = names::text(name).unwrap_or_default();
            if number <= 0 {
                return Err(format!("column \"{name}\" does not exist"));
            }
            self.shown.push(names::quote(&name));
            Ok(self.key_of(number))
        }
    }

    unsafe fn key_of(&self, number: i16) -> Key {
        let mut key = Key {
            number,
            type_oid: pg_sys::InvalidOid,
            typmod: -1,
            collation: pg_sys::InvalidOid,
            index_collation: pg_sys::InvalidOid,
            family: pg_sys::InvalidOid,
            input_type: pg_sys::InvalidOid,
            reverse: false,
            nulls_first: false,
        };
        // SAFETY: a catalogue look-up for a column that exists.
        unsafe {
            pg_sys::get_atttypetypmodcoll(
                self.table,
                number,
                &mut key.type_oid,
                &mut key.typmod,
                &mut key.collation,
            );
        }
        key.index_collation = key.collation;
        key
    }

    unsafe fn expression(&mut self, node: *mut pg_sys::Node) -> Result<Key, String> {
        // SAFETY: an analysed expression.
        unsafe {
            self.check(node, "an index expression")?;
            let collation = pg_sys::exprCollation(node);
            let mut inner = node;
            while (*inner).type_ == pg_sys::NodeTag::T_CollateExpr {
                inner = (*inner.cast::<pg_sys::CollateExpr>()).arg.cast();
            }
            self.shown.push(self.sql(node));
            if (*inner).type_ == pg_sys::NodeTag::T_Var {
                // As SQL it is a star, which SELECT would take apart.
                if (*inner.cast::<pg_sys::Var>()).varattno == 0 {
                    return Err("an index on whole rows is not predicted".to_owned());
                }
                let mut key = self.key_of((*inner.cast::<pg_sys::Var>()).varattno);
                key.index_collation = collation;
                return Ok(key);
            }
            pg_sys::CheckAttributeType(
                c"expr".as_ptr(),
                pg_sys::exprType(inner),
                collation,
                std::ptr::null_mut(),
                0,
            );
            let folded = pg_sys::eval_const_expressions(std::ptr::null_mut(), inner);
            pg_sys::fix_opfuncids(folded);
            self.expressions = pg_sys::lappend(self.expressions, folded.cast());
            Ok(Key {
                number: 0,
                type_oid: pg_sys::exprType(inner),
                typmod: pg_sys::exprTypmod(inner),
                collation,
                index_collation: collation,
                family: pg_sys::InvalidOid,
                input_type: pg_sys::InvalidOid,
                reverse: false,
                nulls_first: false,
            })
        }
    }

    /// The predicate as a list for the planner (`RelationGetIndexPredicate`), and as SQL.
    pub(super) unsafe fn predicate(
        &self,
        node: *mut pg_sys::Node,
    ) -> Result<Option<(*mut pg_sys::List, String)>, String> {
        if node.is_null() {
            return Ok(None);
        }
        // SAFETY: an analysed condition.
        unsafe {
            self.check(node, "an index predicate")?;
            let shown = self.sql(node);
            let folded = pg_sys::eval_const_expressions(std::ptr::null_mut(), node);
            let clause = pg_sys::canonicalize_qual(folded.cast(), false);
            let list = pg_sys::make_ands_implicit(clause);
            pg_sys::fix_opfuncids(list.cast());
            Ok(Some((list, shown)))
        }
    }

    /// Folding and sampling run its functions.
    unsafe fn check(&self, node: *mut pg_sys::Node, what: &str) -> Result<(), String> {
        // SAFETY: an analysed expression; the table has number 1 in it.
        unsafe {
            let mut columns = std::ptr::null_mut();
            pg_sys::pull_varattnos(node, 1, &mut columns);
            let lowest = pg_sys::FirstLowInvalidHeapAttributeNumber;
            if (lowest + 1..0).any(|number| pg_sys::bms_is_member(number - lowest, columns)) {
                return Err(format!("system columns in {what} are not supported"));
            }
            self.context.trust().check_expression(node)?;
            if pg_sys::contain_mutable_functions(node) {
                return Err(format!("functions in {what} must be marked IMMUTABLE"));
            }
        }
        Ok(())
    }

    unsafe fn sql(&self, node: *mut pg_sys::Node) -> String {
        // SAFETY: the table has number 1 in an analysed CREATE INDEX.
        unsafe {
            let names = pg_sys::deparse_context_for(self.relation.as_ptr(), self.table);
            let text = pg_sys::deparse_expression(node, names, false, false);
            format!("({})", names::text(text).unwrap_or_default())
        }
    }

    /// Words for a name.
    pub(super) unsafe fn words(&self, keys: &[*mut pg_sys::IndexElem]) -> Vec<String> {
        keys.iter()
            // SAFETY: elements of an analysed statement.
            .map(|element| unsafe {
                names::text((**element).name).unwrap_or_else(|| "expr".to_owned())
            })
            .collect()
    }
}

/// `nodeToString` of a list; `None` for NIL.
pub(super) unsafe fn written(list: *mut pg_sys::List) -> Option<CString> {
    if list.is_null() {
        return None;
    }
    // SAFETY: a valid list; the text is copied.
    unsafe { Some(CStr::from_ptr(pg_sys::nodeToString(list.cast())).to_owned()) }
}

/// `WITH (...)`.
pub(super) struct Options {
    pub(super) fill_percent: Option<u64>,
    pub(super) pages_a_range: Option<f64>,
    pub(super) deduplicates: bool,
}

impl Options {
    pub(super) unsafe fn read(list: *mut pg_sys::List) -> Self {
        let mut options = Self {
            fill_percent: None,
            pages_a_range: None,
            deduplicates: true,
        };
        // SAFETY: a list of DefElem nodes.
        unsafe {
            for &option in pointers::<pg_sys::DefElem>(list) {
                match names::text((*option).defname).as_deref() {
                    Some("fillfactor") => {
                        options.fill_percent = u64::try_from(pg_sys::defGetInt32(option)).ok();
                    }
                    Some("pages_per_range") => {
                        options.pages_a_range = Some(f64::from(pg_sys::defGetInt32(option)));
                    }
                    Some("deduplicate_items") => {
                        options.deduplicates = pg_sys::defGetBoolean(option);
                    }
                    _ => {}
                }
            }
        }
        options
    }
}
