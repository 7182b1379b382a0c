//! What of the capture the current role may see.

use pg_pitcrew_capture::{Captured, Key, SeenPlan, Total, written_without_literals};
use pgrx::prelude::*;

use super::{memory, settings};
use crate::text::from_server;

/// Who looks.
pub(super) struct Sight {
    database: u32,
    user: u32,
    /// The role may see everybody's statements.
    all: bool,
}

impl Sight {
    /// The current role in the current database.
    pub(super) fn new() -> Self {
        // SAFETY: plain reads of the session's state, and a look-up among the role's memberships.
        unsafe {
            let user = pg_sys::GetUserId();
            Self {
                database: pg_sys::MyDatabaseId.to_u32(),
                user: user.to_u32(),
                all: pg_sys::has_privs_of_role(user, pg_sys::ROLE_PG_READ_ALL_STATS.into()),
            }
        }
    }

    /// Whether a statement is shown at all.
    pub(super) fn sees(&self, key: &Key) -> bool {
        key.database == self.database && (self.all || key.user == self.user)
    }

    /// Whether its literals and values are.
    pub(super) fn sees_values(&self, key: &Key) -> bool {
        self.sees(key) && (key.user == self.user || settings::SHOW_VALUES.get())
    }

    /// The text as it may be shown.
    pub(super) fn shown(&self, captured: &Captured) -> String {
        if self.sees_values(&captured.key) {
            legible(&captured.text)
        } else {
            without_literals(captured)
        }
    }
}

/// A text without its literals.
pub(super) fn without_literals(captured: &Captured) -> String {
    legible(&written_without_literals(&captured.text))
}

/// Text of the database's encoding. What cannot be read is marked.
fn legible(text: &[u8]) -> String {
    let text = from_server(text);
    text.trim().replace(char::REPLACEMENT_CHARACTER, "?")
}

/// Executions that are kept and that the role may see, the newest first.
pub(super) fn captured(sight: &Sight) -> Vec<Captured> {
    let mut found = Vec::new();
    memory::each(|set| found.extend(set.captured(|key| sight.sees(key))));
    found.sort_unstable_by_key(|captured| std::cmp::Reverse(captured.number));
    found
}

/// Plans of the statements that the role may see.
pub(super) fn plans(sight: &Sight) -> Vec<SeenPlan> {
    let mut found = Vec::new();
    memory::each(|set| found.extend(set.plans(|key| sight.sees(key))));
    found
}

/// Statements that are counted and that the role may see, most time first.
pub(super) fn totals(sight: &Sight) -> Vec<Total> {
    let mut found = Vec::new();
    memory::each(|set| found.extend(set.totals(|key| sight.sees(key))));
    found.sort_unstable_by_key(|total| (std::cmp::Reverse(total.ns), total.key));
    found
}
