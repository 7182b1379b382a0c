//! What an index is suppressed by.

use std::collections::BTreeSet;

use crate::checks::suppressed;
use crate::failure::read_one;

/// Under which the index of this id is suppressed, as a finding of the checks.
pub(super) fn cache_key(id: &str) -> String {
    format!("suggest_indexes:{id}")
}

/// The keys that are suppressed now; none where the role may not read them.
pub(super) fn suppressed_keys() -> BTreeSet<String> {
    let may_read: Option<bool> = read_one(
        "has_table_privilege",
        "SELECT has_table_privilege('pitcrew.suppressed_findings', 'SELECT')",
        &[],
    );
    if may_read == Some(true) {
        suppressed()
    } else {
        BTreeSet::new()
    }
}
