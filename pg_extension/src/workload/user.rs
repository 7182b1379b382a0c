//! What the statements of a role run under: its own settings for the planner and its `search_path`.

use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::prelude::*;

use crate::failure::{read_text, spi};
use crate::names;
use crate::text::plain;

/// Settings for the planner, later ones over earlier ones.
pub(crate) type Settings = Rc<Vec<(CString, CString)>>;

/// What statements of another role than the current one run under.
#[derive(Debug)]
pub(crate) struct Under {
    pub(crate) search_path: CString,
    pub(crate) settings: Settings,
}

impl Under {
    /// What a role begins with; `None` for the current role, and for one that is gone.
    pub(crate) fn of(user: pg_sys::Oid) -> Option<Rc<Self>> {
        // SAFETY: a plain read of the session's state.
        if user == unsafe { pg_sys::GetUserId() } {
            return None;
        }
        let (name, settings) = named(user)?;
        let query = include_str!("../../sql/queries/search_path_of.sql");
        let path = read_text("pg_db_role_setting", query, &[user.into()]).or_else(default_path)?;
        Some(Rc::new(Self {
            search_path: names::c_string(&meant_by(&name, &path)).ok()?,
            settings,
        }))
    }
}

/// A `search_path` as the role means it.
pub(crate) fn meant_by(role: &str, path: &str) -> String {
    path.replace("\"$user\"", &names::quote(role))
}

/// A role's name and its settings for the planner; `None` where it is gone.
pub(crate) fn named(user: pg_sys::Oid) -> Option<(String, Settings)> {
    // SAFETY: a catalogue look-up that answers null for a role that is gone.
    let name = unsafe { names::text(pg_sys::GetUserNameFromId(user, true)) }?;
    let query = include_str!("../../sql/queries/planner_settings.sql");
    let settings = Spi::connect(|client| {
        let rows = spi(
            "pg_db_role_setting",
            client.select(query, None, &[user.into()]),
        );
        rows.filter_map(|row| {
            let text = |place| plain(spi("pg_db_role_setting", row.get(place)));
            let (name, value) = (text(1)?, text(2)?);
            Some((names::c_string(&name).ok()?, names::c_string(&value).ok()?))
        })
        .collect()
    });
    Some((name, Rc::new(settings)))
}

fn default_path() -> Option<String> {
    // SAFETY: the server answers a string of its own that is copied, or null.
    unsafe {
        let value = pg_sys::GetConfigOptionResetString(c"search_path".as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}
