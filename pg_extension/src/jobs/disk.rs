//! Whether there is room for what a job writes anew.

use pgrx::prelude::*;

use super::spec::Spec;
use crate::disk;
use crate::failure::{Failure, read_one};
use crate::guc;

/// Refuses a job that writes a table or an index anew where the disk would be left with less than
/// `pitcrew.job_min_free_disk`. What cannot be seen is not refused: the server itself says "disk full" then.
///
/// # Errors
/// `disk_full` (53100) with the numbers.
pub(super) fn has_room(spec: &Spec, target: Option<pg_sys::Oid>) -> Result<(), Failure> {
    let Some(needed) = target.and_then(|target| writes(spec, target)) else {
        return Ok(());
    };
    // Tables in other tablespaces are not looked at.
    let Some(free) = disk::space_of(&disk::data_directory()) else {
        return Ok(());
    };
    let free = i64::try_from(free.free).unwrap_or(i64::MAX);
    let reserve = i64::from(guc::JOB_MIN_FREE_DISK_MB.get()) * 1024 * 1024;
    if free.saturating_sub(needed) >= reserve {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_DISK_FULL,
        format!(
            "the job writes about {needed} bytes, the disk has {free} free, and {reserve} have to stay free"
        ),
    )
    .hint("Free disk space, or lower pitcrew.job_min_free_disk."))
}

/// Bytes that the job writes beside what is there; `None` when it writes nothing anew.
pub(super) fn writes(spec: &Spec, target: pg_sys::Oid) -> Option<i64> {
    let query = match spec {
        Spec::Vacuum(options) if options.full => "SELECT pg_total_relation_size($1)",
        Spec::RefreshMatview { .. } => "SELECT pg_total_relation_size($1)",
        // An index over some columns is seldom larger than half of its table.
        Spec::CreateIndex { .. } => {
            "SELECT sum(pg_relation_size(p.relid))::bigint / 2 FROM (SELECT $1::oid::regclass AS relid \
             UNION SELECT t.relid FROM pg_partition_tree($1::oid::regclass) t) p"
        }
        Spec::Reindex => {
            "SELECT CASE WHEN c.relkind IN ('i', 'I') THEN pg_relation_size(c.oid) ELSE pg_indexes_size(c.oid) END \
             FROM pg_class c WHERE c.oid = $1"
        }
        _ => return None,
    };
    read_one("the size of the target", query, &[target.into()])
}
