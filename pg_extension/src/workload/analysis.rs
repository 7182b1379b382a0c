//! From a text to a tree that may be planned, or the reason why it may not.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use super::skip::Skip;
use super::source::Source;
use super::trust::{self, Trust};
use super::usage::Trigrams;
use crate::names;

/// Longer texts are left out: analysing them takes longer than an answer is worth.
const MAX_TEXT_BYTES: usize = 100_000;

/// Why a statement of another kind is left out.
const NOT_PLANNED: &str = "not a SELECT, UPDATE, DELETE or INSERT of a query";

/// What all statements of one call are analysed under.
pub(crate) struct Context {
    search_path: Option<CString>,
    trust: Trust,
    trigrams: Option<Trigrams>,
}

/// A statement that may be planned. Lives in the current memory context.
pub(crate) struct Analysed {
    /// Analysed and rewritten.
    pub(crate) query: *mut pg_sys::Query,
    /// Relations in it, those of views and policies included.
    pub(crate) relations: Vec<pg_sys::Oid>,
    /// Its parameters, where they are known; else null.
    pub(crate) bound: pg_sys::ParamListInfo,
}

impl Context {
    /// Reads what the current session and role stand for.
    pub(crate) fn new() -> Self {
        // Our functions run with a search path of their own; statements were written for the session's default one.
        // SAFETY: the server answers a string of its own that is copied, or null.
        let search_path = unsafe {
            let value = pg_sys::GetConfigOptionResetString(c"search_path".as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_owned())
        };
        Self {
            search_path,
            trust: Trust::new(),
            trigrams: Trigrams::find(),
        }
    }

    /// What may run while a statement is planned.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// pg_trgm, where it is installed.
    pub(crate) fn trigrams(&self) -> Option<&Trigrams> {
        self.trigrams.as_ref()
    }
}

fn set(name: &CStr, value: &CStr, context: pg_sys::GucContext::Type) {
    // SAFETY: both strings outlive the call; GUC_ACTION_LOCAL ends with the subtransaction.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
    }
}

/// Makes the settings that analysis and planning run under. Undone with the subtransaction of `guarded`.
pub(crate) fn enter(context: &Context) {
    // What the server remarks about a text, or a function in it, is for whoever runs it: names that are too long, escapes.
    set(
        c"client_min_messages",
        c"error",
        pg_sys::GucContext::PGC_USERSET,
    );
    // Our own plans must not show up as somebody's statements.
    set(c"compute_query_id", c"off", pg_sys::GucContext::PGC_SUSET);
    if let Some(path) = &context.search_path {
        set(c"search_path", path, pg_sys::GucContext::PGC_SUSET);
    }
}

/// From here on the server writes names of everything but its own with their schema, and looks for nothing elsewhere.
pub(crate) fn qualify() {
    set(c"search_path", c"pg_catalog", pg_sys::GucContext::PGC_SUSET);
}

/// The same as [`enter`] for one text: what it ran under comes first.
pub(crate) fn enter_for(context: &Context, source: &Source) {
    enter(context);
    let (settings, path) = match (&source.ran, &source.under) {
        (Some(ran), _) => (&ran.settings, &ran.search_path),
        (None, Some(under)) => (&under.settings, &under.search_path),
        (None, None) => return,
    };
    for (name, value) in settings.iter() {
        // No more than any user may set.
        set(name, value, pg_sys::GucContext::PGC_USERSET);
    }
    set(c"search_path", path, pg_sys::GucContext::PGC_USERSET);
}

/// Parses, analyses and rewrites one statement, and checks that planning it runs nobody else's code.
///
/// Call inside `guarded`, after [`enter`] or [`enter_for`]: a text that does not parse raises an error.
///
/// # Errors
/// The reason why it is not planned.
pub(crate) fn analyse(source: &Source, context: &Context) -> Result<Analysed, Skip> {
    let text = source.text.as_c_str();
    if text.to_bytes().len() > MAX_TEXT_BYTES {
        return Err(Skip::because(format!(
            "the text is longer than {MAX_TEXT_BYTES} bytes"
        )));
    }
    // PostgreSQL 18 prints normalised lists this way; planned as written it would be a list of one element.
    if text.to_string_lossy().contains("/*, ... */") {
        return Err(Skip::because(
            "a list of values was shortened in the recorded text",
        ));
    }
    // SAFETY: everything is allocated in the current context; casts follow the nodes' tags.
    unsafe {
        let raw = match crate::lists::pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(
            text.as_ptr(),
        )) {
            [] => return Err(Skip::because("the text is empty")),
            [only] => *only,
            several => {
                return Err(Skip::because(format!(
                    "the text holds {} statements",
                    several.len()
                )));
            }
        };
        (*raw).stmt = carried((*raw).stmt);
        match (*(*raw).stmt).type_ {
            pg_sys::NodeTag::T_SelectStmt
            | pg_sys::NodeTag::T_UpdateStmt
            | pg_sys::NodeTag::T_DeleteStmt => {}
            pg_sys::NodeTag::T_InsertStmt => {
                let rows = (*(*raw).stmt.cast::<pg_sys::InsertStmt>()).selectStmt;
                if rows.is_null() || !(*rows.cast::<pg_sys::SelectStmt>()).valuesLists.is_null() {
                    return Err(Skip::because("an INSERT of values looks nothing up"));
                }
            }
            _ => return Err(Skip::because(NOT_PLANNED)),
        }
        context.trust.check_literals(raw).map_err(Skip::Because)?;

        let (mut types, mut count) = source.types();
        let query = pg_sys::parse_analyze_varparams(
            raw,
            text.as_ptr(),
            &mut types,
            &mut count,
            std::ptr::null_mut(),
        );
        if (*query).commandType == pg_sys::CmdType::CMD_UTILITY {
            return Err(Skip::because(NOT_PLANNED));
        }
        let &[query] = crate::lists::pointers::<pg_sys::Query>(pg_sys::pg_rewrite_query(query))
        else {
            return Err(Skip::because("a rule rewrites it into other statements"));
        };
        let relations = trust::relations(query);
        if is_on_system_tables_alone(&relations) {
            return Err(Skip::System);
        }
        if let Some(foreign) = relations
            .iter()
            .find(|oid| pg_sys::get_rel_relkind(**oid) as u8 == b'f')
        {
            let name = names::qualified(*foreign).unwrap_or_default();
            return Err(Skip::because(format!(
                "planning would ask the server of foreign table {name}"
            )));
        }
        context.trust.check_tree(query, source.path())?;
        Ok(Analysed {
            query,
            relations,
            bound: source.bound(),
        })
    }
}

/// The query in what only carries it: COPY of a query, CREATE TABLE AS, PREPARE.
///
/// # Safety
/// A statement that the parser just made.
pub(super) unsafe fn carried(statement: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: casts follow the node's tag.
    let query = unsafe {
        match (*statement).type_ {
            pg_sys::NodeTag::T_CopyStmt => (*statement.cast::<pg_sys::CopyStmt>()).query,
            pg_sys::NodeTag::T_CreateTableAsStmt => {
                (*statement.cast::<pg_sys::CreateTableAsStmt>()).query
            }
            pg_sys::NodeTag::T_PrepareStmt => (*statement.cast::<pg_sys::PrepareStmt>()).query,
            _ => return statement,
        }
    };
    if query.is_null() { statement } else { query }
}

fn is_on_system_tables_alone(relations: &[pg_sys::Oid]) -> bool {
    let is_system = |oid: &pg_sys::Oid| {
        names::relation(*oid).is_some_and(|(schema, _)| crate::whatif::table::is_system(&schema))
    };
    !relations.is_empty() && relations.iter().all(is_system)
}
