//! What differs between server versions, in one place: supporting another one starts here.

use pgrx::pg_sys;

/// Whether `role` owns the relation.
pub(crate) fn owns_relation(relation: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups for a relation that exists.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_class_ownercheck(relation, role);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::RelationRelationId, relation, role);
    }
}

/// Whether the current role may read every column of the relation; not so where it is gone.
pub(crate) fn may_read(relation: pg_sys::Oid) -> bool {
    let select = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
    let mut is_missing = false;
    // SAFETY: catalogue look-ups.
    unsafe {
        let role = pg_sys::GetUserId();
        let whole = pg_sys::pg_class_aclcheck_ext(relation, role, select, &mut is_missing);
        whole == pg_sys::AclResult::ACLCHECK_OK
            // From 16 on this one raises an error for what is gone.
            || !is_missing
                && pg_sys::pg_attribute_aclcheck_all(
                    relation,
                    role,
                    select,
                    pg_sys::AclMaskHow::ACLMASK_ALL,
                ) == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether `role` owns the database.
pub(crate) fn owns_database(database: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups for a database that exists.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, role);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, role);
    }
}

/// Whether `role` may VACUUM and ANALYZE the relation. From 17 on the MAINTAIN privilege decides.
pub(crate) fn may_maintain(relation: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    // SAFETY: a catalogue look-up for a relation that exists.
    let maintains = unsafe {
        pg_sys::pg_class_aclcheck(relation, role, u64::from(pg_sys::ACL_MAINTAIN) as _)
            == pg_sys::AclResult::ACLCHECK_OK
    };
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    let maintains = owns_relation(relation, role);
    // SAFETY: MyDatabaseId is set in every connected process.
    maintains || owns_database(unsafe { pg_sys::MyDatabaseId }, role)
}

/// Whose right it is to VACUUM, ANALYZE, REINDEX and REFRESH, in words.
pub(crate) const MAINTAINER: &str = if cfg!(any(feature = "pg17", feature = "pg18")) {
    "owner of, or have MAINTAIN on,"
} else {
    "owner of"
};

/// Whether an update of columns that BRIN indexes alone have can be HOT.
pub(crate) const BRIN_KEEPS_HOT: bool = cfg!(not(feature = "pg15"));

/// Whether a worker can connect as a role that may not log in.
pub(crate) const NOLOGIN_WORKERS: bool = cfg!(any(feature = "pg17", feature = "pg18"));

/// Flags for connecting a job's worker. Never BGWORKER_BYPASS_ALLOWCONN: it would skip the CONNECT check too.
pub(crate) fn connect_flags() -> u32 {
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    return pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    return 0;
}

/// One backend's state in this process's copy, by its number from 1. 16 renamed the function.
///
/// # Safety
/// The copy is not cleared while the result is used.
pub(crate) unsafe fn backend_status(number: i32) -> *mut pg_sys::LocalPgBackendStatus {
    // SAFETY: the caller's promise; the function answers null for a number that is too large.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pgstat_fetch_stat_local_beentry(number);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::pgstat_get_local_beentry_by_index(number);
    }
}

/// Runs a portal to its end at top level.
///
/// # Safety
/// The portal was started and belongs to the current transaction.
pub(crate) unsafe fn portal_run(portal: pg_sys::Portal, receiver: *mut pg_sys::DestReceiver) {
    let all = std::ffi::c_long::MAX;
    let mut completion = pg_sys::QueryCompletion::default();
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::PortalRun(portal, all, true, true, receiver, receiver, &mut completion);
        #[cfg(feature = "pg18")]
        pg_sys::PortalRun(portal, all, true, receiver, receiver, &mut completion);
    }
}

/// Installs a signal handler. 18 renamed the function for backends.
///
/// # Safety
/// `handler` does only what a signal handler may.
pub(crate) unsafe fn signal(number: i32, handler: unsafe extern "C-unwind" fn(i32)) {
    // `pg_sys::pqsignal` takes pgrx's function pointer type; the server's symbol takes a C one.
    unsafe extern "C-unwind" {
        #[cfg(not(feature = "pg18"))]
        fn pqsignal(
            number: i32,
            handler: unsafe extern "C-unwind" fn(i32),
        ) -> *mut std::ffi::c_void;
        #[cfg(feature = "pg18")]
        #[link_name = "pqsignal_be"]
        fn pqsignal(number: i32, handler: unsafe extern "C-unwind" fn(i32));
    }
    // SAFETY: the caller's promise; the server keeps the pointer.
    unsafe {
        let _ = pqsignal(number, handler);
    }
}

/// Asks for as many statistics as ANALYZE keeps by default.
pub(crate) fn set_statistics_target(stats: &mut pg_sys::VacAttrStats) {
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    {
        stats.attstattarget = -1;
    }
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    // SAFETY: palloc'd and filled; the type's own function reads the target alone, and sets it where it is the default.
    unsafe {
        let attribute = pg_sys::palloc0(size_of::<pg_sys::FormData_pg_attribute>())
            .cast::<pg_sys::FormData_pg_attribute>();
        (*attribute).attstattarget = -1;
        stats.attr = attribute;
    }
}

/// Flags to start the executor with for a plan that is only shown, and whose parameters are not known.
pub(crate) fn explain_flags() -> i32 {
    #[cfg(not(feature = "pg15"))]
    return (pg_sys::EXEC_FLAG_EXPLAIN_ONLY | pg_sys::EXEC_FLAG_EXPLAIN_GENERIC) as i32;
    #[cfg(feature = "pg15")]
    return pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32;
}

/// How long an execution ran until now, in nanoseconds; 0 where the server does not measure it.
///
/// Reads memory alone: for hooks.
///
/// # Safety
/// `description` is an execution that was started.
#[inline]
pub(crate) unsafe fn duration_ns(description: *mut pg_sys::QueryDesc) -> u64 {
    // SAFETY: the caller's promise.
    let Some(instrument) = (unsafe { (*description).totaltime.as_ref() }) else {
        return 0;
    };
    #[cfg(feature = "pg15")]
    let current = {
        let time = instrument.counter;
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    // Ticks are nanoseconds up to 18.
    #[cfg(not(feature = "pg15"))]
    let current = instrument.counter.ticks;
    // Earlier cycles are summed up in seconds.
    (instrument.total * 1e9) as u64 + u64::try_from(current).unwrap_or(0)
}

/// What the server measured of an execution that has not ended.
///
/// Reads memory alone: for hooks.
///
/// # Safety
/// `description` is an execution that was started.
pub(crate) unsafe fn measured(description: *mut pg_sys::QueryDesc) -> pg_pitcrew_capture::Measured {
    // SAFETY: the caller's promise.
    unsafe {
        let state = (*description).estate;
        let mut measured = pg_pitcrew_capture::Measured::default();
        if !state.is_null() {
            #[cfg(feature = "pg15")]
            {
                measured.rows = (*state).es_processed;
            }
            #[cfg(not(feature = "pg15"))]
            {
                measured.rows = (*state).es_total_processed;
            }
        }
        measured.ns = duration_ns(description);
        if let Some(instrument) = (*description).totaltime.as_ref() {
            let used = &instrument.bufusage;
            let count = |blocks: i64| u64::try_from(blocks).unwrap_or(0);
            measured.blocks = pg_pitcrew_capture::Blocks {
                hit: count(used.shared_blks_hit + used.local_blks_hit),
                read: count(used.shared_blks_read + used.local_blks_read),
                dirtied: count(used.shared_blks_dirtied + used.local_blks_dirtied),
                written: count(used.shared_blks_written + used.local_blks_written),
                temp_read: count(used.temp_blks_read),
                temp_written: count(used.temp_blks_written),
            };
        }
        measured
    }
}

/// A plan's query id. 18 made it signed.
///
/// # Safety
/// `plan` is a plan.
#[inline]
pub(crate) unsafe fn query_id(plan: *mut pg_sys::PlannedStmt) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(feature = "pg18")]
        return (*plan).queryId as u64;
        #[cfg(not(feature = "pg18"))]
        return (*plan).queryId;
    }
}

/// What a query is grouped by at this place, where `entry` stands for its groups; else null. Since 18 what is grouped is read
/// through an entry of its own.
///
/// # Safety
/// `entry` is part of an analysed tree.
pub(crate) unsafe fn grouped(
    entry: *mut pg_sys::RangeTblEntry,
    position: usize,
) -> *mut pg_sys::Node {
    #[cfg(feature = "pg18")]
    // SAFETY: the caller's promise; the position is checked against the list.
    unsafe {
        if (*entry).rtekind == pg_sys::RTEKind::RTE_GROUP {
            let expressions = crate::lists::pointers::<pg_sys::Node>((*entry).groupexprs);
            return expressions
                .get(position)
                .copied()
                .unwrap_or(std::ptr::null_mut());
        }
    }
    #[cfg(not(feature = "pg18"))]
    let _ = (entry, position);
    std::ptr::null_mut()
}

/// Whether a node makes JSON of values, or values of JSON (16, and more in 17): by functions and casts that it does not name.
pub(crate) fn makes_json(tag: pg_sys::NodeTag) -> bool {
    #[cfg(feature = "pg15")]
    {
        let _ = tag;
        false
    }
    #[cfg(feature = "pg16")]
    {
        matches!(
            tag,
            pg_sys::NodeTag::T_JsonConstructorExpr | pg_sys::NodeTag::T_JsonValueExpr
        )
    }
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    {
        matches!(
            tag,
            pg_sys::NodeTag::T_JsonConstructorExpr
                | pg_sys::NodeTag::T_JsonValueExpr
                | pg_sys::NodeTag::T_JsonExpr
        )
    }
}
