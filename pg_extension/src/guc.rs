//! Settings `pitcrew.*`.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

/// Milliseconds a job waits for a lock before it gives up. 0 waits for ever.
pub(crate) static JOB_LOCK_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(60_000);
/// Milliseconds a job may run. 0 sets no limit.
pub(crate) static JOB_STATEMENT_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(0);
/// Times a job that could not get its lock is started again.
pub(crate) static JOB_LOCK_RETRIES: GucSetting<i32> = GucSetting::<i32>::new(5);
/// Milliseconds before the first of these; each later wait is twice as long, an hour at most.
pub(crate) static JOB_LOCK_BACKOFF_MS: GucSetting<i32> = GucSetting::<i32>::new(5_000);
/// Seconds after which another session's transaction is old enough that a concurrent build is refused. 0 never refuses.
pub(crate) static JOB_MAX_TRANSACTION_AGE_S: GucSetting<i32> = GucSetting::<i32>::new(3_600);
/// Megabytes that have to stay free on disk beside what a job writes.
pub(crate) static JOB_MIN_FREE_DISK_MB: GucSetting<i32> = GucSetting::<i32>::new(512);
/// Unfinished jobs of one database.
pub(crate) static MAX_QUEUED_JOBS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
/// Jobs that run at the same time in one database.
pub(crate) static MAX_PARALLEL_JOBS: GucSetting<i32> = GucSetting::<i32>::new(2);
/// Schedules of one database.
pub(crate) static MAX_SCHEDULES: GucSetting<i32> = GucSetting::<i32>::new(1_000);
/// Milliseconds after which `suggest_indexes` answers with the best found so far.
pub(crate) static SUGGEST_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
/// Statements of the workload that are looked at, those with most total time first.
pub(crate) static MAX_STATEMENTS: GucSetting<i32> = GucSetting::<i32>::new(500);

/// Whether history is sampled.
pub(crate) static HISTORY: GucSetting<bool> = GucSetting::<bool>::new(true);
/// Seconds between two ticks of one database.
pub(crate) static HISTORY_INTERVAL_S: GucSetting<i32> = GucSetting::<i32>::new(300);
/// Megabytes that the history of one database may take.
pub(crate) static HISTORY_MAX_SIZE_MB: GucSetting<i32> = GucSetting::<i32>::new(200);

/// Registers the settings.
pub(crate) fn define() {
    GucRegistry::define_int_guc(
        c"pitcrew.job_lock_timeout",
        c"How long a maintenance job waits for a lock before it fails.",
        c"0 waits for ever. CREATE INDEX CONCURRENTLY also waits for older transactions this way.",
        &JOB_LOCK_TIMEOUT_MS,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.job_statement_timeout",
        c"How long a maintenance job may run before it is cancelled.",
        c"0 sets no limit.",
        &JOB_STATEMENT_TIMEOUT_MS,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.job_lock_retries",
        c"How often a maintenance job that could not get its lock is started again.",
        c"0 fails it at once.",
        &JOB_LOCK_RETRIES,
        0,
        100,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pitcrew.job_lock_backoff",
        c"How long a maintenance job that could not get its lock waits for its next start.",
        c"Each later wait is twice as long, an hour at most.",
        &JOB_LOCK_BACKOFF_MS,
        1,
        3_600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.job_max_transaction_age",
        c"How old a transaction may be that a concurrent index build would have to wait for.",
        c"Beside an older one the job fails at once and names it. 0 never refuses.",
        &JOB_MAX_TRANSACTION_AGE_S,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.job_min_free_disk",
        c"How much disk space has to stay free beside what a maintenance job writes.",
        c"Checked for jobs that write a table or an index anew, where the operating system tells.",
        &JOB_MIN_FREE_DISK_MB,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.max_queued_jobs",
        c"How many unfinished maintenance jobs one database may have.",
        c"submit_job refuses more.",
        &MAX_QUEUED_JOBS,
        1,
        1_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pitcrew.max_parallel_jobs",
        c"How many maintenance jobs run at the same time in one database.",
        c"Each takes one of max_worker_processes; at most 8 run in the whole cluster.",
        &MAX_PARALLEL_JOBS,
        1,
        8,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pitcrew.max_schedules",
        c"How many schedules one database may have.",
        c"pitcrew.schedule refuses more; what was written past it is paused.",
        &MAX_SCHEDULES,
        1,
        100_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pitcrew.suggest_timeout",
        c"How long suggest_indexes searches before it answers with the best found so far.",
        c"0 sets no limit.",
        &SUGGEST_TIMEOUT_MS,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.max_statements",
        c"How many statements of the workload are looked at, those with most total time first.",
        c"The rest is left out of suggest_indexes and workload.",
        &MAX_STATEMENTS,
        1,
        10_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pitcrew.history",
        c"Whether the history of statements, tables, indexes, sessions and settings is sampled.",
        c"In every database that has the extension. Off keeps what there is.",
        &HISTORY,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pitcrew.history_interval",
        c"How long after one sample of a database the next one is taken.",
        c"Samples are kept as they are for a day, and merged into hours after.",
        &HISTORY_INTERVAL_S,
        10,
        3_600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pitcrew.history_max_size",
        c"How much the history of one database may take on disk.",
        c"What is oldest is forgotten first; pitcrew.history_status() says how much that was.",
        &HISTORY_MAX_SIZE_MB,
        1,
        1_000_000,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    crate::capture::settings::define();
    // A misspelt setting is an error, not a placeholder that nobody reads.
    // SAFETY: the string is static.
    unsafe { pgrx::pg_sys::MarkGUCPrefixReserved(c"pitcrew".as_ptr()) };
}
