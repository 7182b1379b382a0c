//! Texts of pg_stat_statements that do not parse, or not with parameters of unknown type: repaired step by step where the
//! server says that it stopped. First a typed literal becomes a cast, then parameters get types: those of columns near them,
//! then others.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_int, c_void};

use pg_pitcrew_capture::{names_around, parameters_at, with_typed_literal, with_whole_lists};
use pgrx::prelude::*;

use super::analysis::{self, Context};
use super::skip::Skip;
use super::source::Source;
use crate::lists;
use crate::whatif::guarded::{Caught, guarded};

// A header that pgrx does not bind.
unsafe extern "C-unwind" {
    fn geterrposition() -> c_int;
}

/// Times that one text is tried.
const MAX_ATTEMPTS: usize = 60;
/// Types that are tried after those of columns near a parameter.
const TYPES: [pg_sys::Oid; 6] = [
    pg_sys::NUMERICOID,
    pg_sys::INT4OID,
    pg_sys::DATEOID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::INTERVALOID,
    pg_sys::TEXTOID,
];

/// Notes where in its text the server stopped, while it is alive.
struct Noted {
    callback: Box<pg_sys::ErrorContextCallback>,
}

impl Noted {
    fn into(position: &Cell<c_int>) -> Self {
        let arg: *const Cell<c_int> = position;
        // SAFETY: the callback is taken out again before `position` goes, also when an error unwinds through here.
        unsafe {
            let mut callback = Box::new(pg_sys::ErrorContextCallback {
                previous: pg_sys::error_context_stack,
                callback: Some(note),
                arg: arg.cast_mut().cast(),
            });
            pg_sys::error_context_stack = &raw mut *callback;
            Self { callback }
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        // SAFETY: it was on top, and what came later is gone.
        unsafe { pg_sys::error_context_stack = self.callback.previous };
    }
}

unsafe extern "C-unwind" fn note(position: *mut c_void) {
    // SAFETY: the server calls it while an error is being raised.
    unsafe { (*position.cast::<Cell<c_int>>()).set(geterrposition()) };
}

/// An error, and the byte of the text at which it was found.
struct Stopped {
    caught: Caught,
    at: Option<usize>,
}

fn attempt(source: &Source, context: &Context) -> Result<Result<(), Skip>, Stopped> {
    let position = Cell::new(0);
    let tried = guarded(|| {
        let _noted = Noted::into(&position);
        analysis::enter_for(context, source);
        analysis::analyse(source, context).map(|_| ())
    });
    tried.map_err(|caught| Stopped {
        caught,
        at: byte_of(&source.text, position.get()),
    })
}

/// Positions count characters from 1.
fn byte_of(text: &CStr, position: c_int) -> Option<usize> {
    let characters = usize::try_from(position).ok()?.checked_sub(1)?;
    let mut starts = text.to_str().ok()?.char_indices();
    starts.nth(characters).map(|(at, _)| at)
}

/// The text as one that can be planned; itself where it can be, and where nothing helps.
pub(crate) fn repaired(source: Source, context: &Context) -> Source {
    let whole = source.text.to_str().ok().map(with_whole_lists);
    let Some(start) = whole.and_then(|text| CString::new(text).ok()) else {
        return source;
    };
    // From the last one on: what is most likely is put on top.
    let mut open = vec![Source {
        text: start,
        ..source.clone()
    }];
    let mut seen = BTreeSet::new();
    for _ in 0..MAX_ATTEMPTS {
        let Some(next) = open.pop() else { break };
        if !seen.insert((next.text.clone(), next.guessed.to_vec())) {
            continue;
        }
        match attempt(&next, context) {
            Ok(Ok(())) => return next,
            // For another reason than its text.
            Ok(Err(_)) => return source,
            Err(stopped) => open.extend(ways_on(&next, &stopped, context).into_iter().rev()),
        }
    }
    source
}

/// What could be done about it, the most likely first.
fn ways_on(source: &Source, stopped: &Stopped, context: &Context) -> Vec<Source> {
    let (Ok(text), Some(at)) = (source.text.to_str(), stopped.at) else {
        return Vec::new();
    };
    match stopped.caught.sqlstate.as_str() {
        // syntax_error
        "42601" => {
            let text = with_typed_literal(text, at).and_then(|text| CString::new(text).ok());
            let with = |text| Source {
                text,
                ..source.clone()
            };
            text.map(with).into_iter().collect()
        }
        // undefined_function, ambiguous_function, datatype_mismatch, indeterminate_datatype, ambiguous_parameter
        "42883" | "42725" | "42804" | "42P18" | "42P08" => {
            let mut parameters = parameters_at(text, at);
            parameters.retain(|number| {
                source
                    .guessed
                    .get(number - 1)
                    .is_none_or(|known| *known == 0)
            });
            if parameters.is_empty() {
                return Vec::new();
            }
            let near = column_types(source, &names_around(text, at), context);
            let types = near.into_iter().chain(TYPES.map(pg_sys::Oid::to_u32));
            types
                .map(|type_oid| with_types(source, &parameters, type_oid))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn with_types(source: &Source, parameters: &[usize], type_oid: u32) -> Source {
    let mut guessed = source.guessed.to_vec();
    for &number in parameters {
        if guessed.len() < number {
            guessed.resize(number, 0);
        }
        guessed[number - 1] = type_oid;
    }
    Source {
        guessed: guessed.into(),
        ..source.clone()
    }
}

/// Types of those of the names that are columns of a table in the text.
fn column_types(source: &Source, names: &[&str], context: &Context) -> Vec<u32> {
    let found = guarded(|| {
        analysis::enter_for(context, source);
        // SAFETY: a tree that the parser just made; look-ups that answer 0 for what does not exist.
        unsafe {
            let mut tables: Vec<pg_sys::Oid> = Vec::new();
            for &raw in
                lists::pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(source.text.as_ptr()))
            {
                let statement = analysis::carried((*raw).stmt);
                lists::walk(collect_tables, statement, &raw mut tables);
            }
            let mut types = Vec::new();
            for name in names {
                // Folded as the parser folds it.
                let name = match name
                    .strip_prefix('"')
                    .and_then(|name| name.strip_suffix('"'))
                {
                    Some(quoted) => quoted.replace("\"\"", "\""),
                    None => name.to_lowercase(),
                };
                let Ok(name) = CString::new(name) else {
                    continue;
                };
                for &table in &tables {
                    let number = pg_sys::get_attnum(table, name.as_ptr());
                    let type_oid = match number {
                        1.. => pg_sys::get_atttype(table, number).to_u32(),
                        _ => continue,
                    };
                    if !types.contains(&type_oid) {
                        types.push(type_oid);
                    }
                }
            }
            types
        }
    });
    found.unwrap_or_default()
}

#[pg_guard]
unsafe extern "C-unwind" fn collect_tables(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag; the context is a list of OIDs; no lock is taken.
    unsafe {
        pg_sys::check_stack_depth();
        if (*node).type_ == pg_sys::NodeTag::T_RangeVar {
            let oid = pg_sys::RangeVarGetRelidExtended(
                node.cast(),
                pg_sys::NoLock as pg_sys::LOCKMODE,
                pg_sys::RVROption::RVR_MISSING_OK,
                None,
                std::ptr::null_mut(),
            );
            if oid != pg_sys::InvalidOid {
                (*context.cast::<Vec<pg_sys::Oid>>()).push(oid);
            }
            return false;
        }
        pg_sys::raw_expression_tree_walker(node, Some(collect_tables), context)
    }
}
