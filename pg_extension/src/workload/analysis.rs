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
        if let pg_sys::NodeTag::T_InsertStmt = (*(*raw).stmt).type_ {
            return Err(Skip::because("INSERT is not planned"));
        }
        let is_plannable = matches!(
            (*(*raw).stmt).type_,
            pg_sys::NodeTag::T_SelectStmt
                | pg_sys::NodeTag::T_UpdateStmt
                | pg_sys::NodeTag::T_DeleteStmt
        );
        if !is_plannable {
            return Err(Skip::because("not a SELECT, UPDATE or DELETE"));
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
            return Err(Skip::because("not a SELECT, UPDATE or DELETE"));
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

fn is_on_system_tables_alone(relations: &[pg_sys::Oid]) -> bool {
    let is_system = |oid: &pg_sys::Oid| {
        names::relation(*oid).is_some_and(|(schema, _)| crate::whatif::table::is_system(&schema))
    };
    !relations.is_empty() && relations.iter().all(is_system)
}
