//! Every check and every collection. A file that is not named here is found by a test.

use std::sync::LazyLock;

use crate::header::{self, Need, Parsed};

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its name: that of its file.
    pub name: &'static str,
    /// Its area: the folder of its file.
    pub area: &'static str,
    pub(crate) parsed: Parsed,
}

impl Check {
    /// What a finding of it is called.
    pub fn title(&self) -> &str {
        &self.parsed.title
    }

    /// The names of its thresholds, with their defaults.
    pub fn thresholds(&self) -> impl Iterator<Item = (&str, f64)> {
        let defaults = self.parsed.defaults.iter();
        defaults.map(|(name, value)| (name.as_str(), *value))
    }

    /// Why a report leaves it out, and it runs only where it is asked for alone.
    pub fn on_request(&self) -> Option<&str> {
        Some(self.parsed.on_request.as_str()).filter(|reason| !reason.is_empty())
    }

    /// What it cannot look without, as its header says it.
    pub fn needed(&self) -> impl Iterator<Item = String> {
        self.parsed.needs.iter().map(ToString::to_string)
    }

    pub(crate) fn needs(&self) -> &[Need] {
        &self.parsed.needs
    }
}

/// What several checks read: collected once a report.
#[derive(Debug)]
pub struct Collection {
    /// The name that checks read it by.
    pub name: &'static str,
    pub(crate) parsed: Parsed,
}

macro_rules! checks {
    ($($area:ident: $($name:ident)+;)+) => {
        &[$($((
            stringify!($area),
            stringify!($name),
            include_str!(concat!("../../sql/checks/", stringify!($area), "/", stringify!($name), ".sql")),
        ),)+)+]
    };
}

/// Area, name and text, in the order of a report.
const CHECKS: &[(&str, &str, &str)] = checks! {
    limits: transaction_wraparound multixact_wraparound sequence_overflow int_key_overflow connections_used xmin_holder slot_retains_wal lock_table_used
        worker_slots_used replication_slots_used wal_directory disk_space old_temporary_table connection_limit_used
        notification_queue_used;
    sessions: idle_in_transaction blocked_session prepared_transaction long_running_query deadlocks rollback_ratio abnormal_session_ends
        session_profile idle_connections waiting_now long_transaction;
    settings: durability_off autovacuum_off autovacuum_saturated tracking_off pending_restart checkpoints_requested checkpoint_spread effective_cache_size
        shared_buffers random_page_cost checksums_off password_encryption idle_timeout log_settings log_min_duration extension_outdated
        minor_version_old;
    queries: query_total_time query_mean_time query_calls query_reads query_temp_files query_wal query_planning query_rows query_unsteady
        query_jit query_regression plan_flip statements_evicted;
    cache: cache_hit_database cache_hit_table cache_hit_index buffer_contents backend_writes slow_reads temp_files wal_rate archiver_failing
        archive_backlog checkpoint_old wal_buffers_full checksum_failures;
    tables: dead_rows autovacuum_due autovacuum_disabled freeze_overdue stale_statistics never_analyzed bloated_table sequential_scans few_hot_updates
        unused_table statistics_target bloated_table_measured
        missing_primary_key foreign_key_type disabled_trigger not_validated_constraint default_partition_rows unlogged_table large_toast
        upgrade_blocking_type long_vacuum table_growth;
    indexes: unused_index duplicate_index redundant_index invalid_index bloated_index null_heavy_index low_cardinality_index many_indexes
        index_larger_than_table hash_index unindexed_foreign_key;
    replication: standby_lag synchronous_standby_missing replay_delay receiver_missing standby_conflicts inactive_slot subscription_stopped
        subscription_not_synchronized replica_identity_missing logical_decoding_spills;
    safety: public_schema_create public_table_write function_search_path policy_without_row_security row_security_without_policy
        policy_always_true policy_per_row_call view_past_row_security relation_without_row_security superuser_login superuser_session extension_in_public
        unencrypted_session access_without_password configuration_error role_expires definer_function_public;
};

/// A collection may read those before it.
const COLLECTIONS: &[(&str, &str)] = &[
    (
        "relations",
        include_str!("../../sql/collections/relations.sql"),
    ),
    ("indexes", include_str!("../../sql/collections/indexes.sql")),
    (
        "rival_indexes",
        include_str!("../../sql/collections/rival_indexes.sql"),
    ),
    ("columns", include_str!("../../sql/collections/columns.sql")),
    (
        "statements",
        include_str!("../../sql/collections/statements.sql"),
    ),
    (
        "common_values",
        include_str!("../../sql/collections/common_values.sql"),
    ),
    (
        "checkpoints",
        include_str!("../../sql/collections/checkpoints.sql"),
    ),
    (
        "page_writes",
        include_str!("../../sql/collections/page_writes.sql"),
    ),
];

/// All checks, area by area.
pub fn checks() -> &'static [Check] {
    static ALL: LazyLock<Vec<Check>> = LazyLock::new(|| {
        let read = |&(area, name, text)| Check {
            name,
            area,
            parsed: parsed(name, text),
        };
        CHECKS.iter().map(read).collect()
    });
    &ALL
}

/// The check of that name.
pub fn find(name: &str) -> Option<&'static Check> {
    checks().iter().find(|check| check.name == name)
}

/// What these checks read, each after those that it reads itself.
pub fn collections_of<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Vec<&'static Collection> {
    static ALL: LazyLock<Vec<Collection>> = LazyLock::new(|| {
        let read = |&(name, text)| Collection {
            name,
            parsed: parsed(name, text),
        };
        COLLECTIONS.iter().map(read).collect()
    });
    let mut wanted: Vec<&str> = checks
        .into_iter()
        .flat_map(|check| check.parsed.uses.iter().map(String::as_str))
        .collect();
    let mut found = Vec::new();
    for collection in ALL.iter().rev() {
        if wanted.contains(&collection.name) {
            wanted.extend(collection.parsed.uses.iter().map(String::as_str));
            found.push(collection);
        }
    }
    found.reverse();
    found
}

/// The files are part of the program: one that cannot be read does not pass the tests.
fn parsed(name: &str, text: &str) -> Parsed {
    header::parse(text).unwrap_or_else(|error| panic!("{name}.sql: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_a_check_and_has_what_a_check_needs() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/checks");
        let mut files = BTreeSet::new();
        for area in std::fs::read_dir(folder).unwrap() {
            let area = area.unwrap().path();
            for file in std::fs::read_dir(&area).unwrap() {
                let file = file.unwrap().path();
                let part = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
                files.insert((part(&area), part(&file)));
            }
        }
        let listed: BTreeSet<_> = checks()
            .iter()
            .map(|check| (check.area.to_owned(), check.name.to_owned()))
            .collect();
        assert_eq!(files, listed);
        assert_eq!(listed.len(), checks().len());
        for check in checks() {
            assert!(!check.title().is_empty(), "{}: title", check.name);
            assert!(
                !check.parsed.looked_at.is_empty(),
                "{}: looked at",
                check.name
            );
            for (_, text) in &check.parsed.variants {
                assert!(
                    !text.trim_end().ends_with(';'),
                    "{}: one statement a check",
                    check.name
                );
                for (name, _) in check.thresholds() {
                    let used =
                        text.contains(&format!("{{{name}}}")) || name == "min_statistics_days";
                    assert!(used, "{}: nobody reads {name}", check.name);
                }
            }
            for name in &check.parsed.uses {
                assert!(
                    COLLECTIONS.iter().any(|(known, _)| known == name),
                    "{}: {name}",
                    check.name
                );
            }
        }
    }

    #[test]
    fn collections_come_after_those_that_they_read() {
        for (at, (name, text)) in COLLECTIONS.iter().enumerate() {
            for used in parsed(name, text).uses {
                assert!(
                    COLLECTIONS[..at].iter().any(|(before, _)| *before == used),
                    "{name} before {used}"
                );
            }
        }
    }
}
