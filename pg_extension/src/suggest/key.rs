//! What an index is known by from one call to the next: its table and columns, whatever it would be named.

use std::collections::BTreeSet;

use pg_pitcrew_advisor::stable_hash;

use crate::checks::suppressed;
use crate::failure::read_one;
use crate::whatif::table::Table;

/// 16 hexadecimal digits.
pub(super) fn id(table: &Table, columns: &[String], included: &[String]) -> String {
    let mut parts = vec![table.schema.as_str(), table.name.as_str()];
    parts.extend(columns.iter().map(String::as_str));
    if !included.is_empty() {
        parts.push("INCLUDE");
        parts.extend(included.iter().map(String::as_str));
    }
    format!("{:016x}", stable_hash(&parts))
}

/// Under which it is suppressed, as a finding of the checks.
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
