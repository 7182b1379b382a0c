-- Maintenance jobs. A submitter may give kind, target, options and command alone: everything else has a default that
-- it cannot choose, or is written by the coordinator (a superuser's process), which runs nothing but what it builds
-- again from kind, target and options.
CREATE TABLE pitcrew.jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    target       regclass,
    command      text,
    state        text NOT NULL DEFAULT 'queued'
                 CHECK (state IN ('queued', 'waiting_for_lock', 'running', 'done', 'failed', 'cancelled', 'orphaned')),
    submitter    regrole NOT NULL DEFAULT (quote_ident(current_user)::regrole),
    submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,
    finished_at  timestamptz,
    duration     interval GENERATED ALWAYS AS (finished_at - started_at) STORED,
    attempts     integer NOT NULL DEFAULT 0,
    not_before   timestamptz,
    progress     jsonb,
    eta          timestamptz,
    before       jsonb,
    after        jsonb,
    sqlstate     text,
    error        text,
    hint         text,
    options      jsonb NOT NULL DEFAULT '{}',
    index_oid    oid,
    touched      oid[],
    schedule     text,
    not_after    timestamptz,
    stop_after   timestamptz,
    origin       text NOT NULL DEFAULT pitcrew.job_origin(),
    cancelled_at timestamptz
);
CREATE INDEX jobs_unfinished ON pitcrew.jobs (id) WHERE state IN ('queued', 'waiting_for_lock', 'running');
-- The same job twice is one job. Two hashes of the options, because an index entry is bounded and they are not.
-- What somebody wants at once does not end with a schedule's window.
CREATE UNIQUE INDEX jobs_joined ON pitcrew.jobs
    (origin, submitter, kind, (coalesce(target::oid, 0::oid)), (jsonb_hash_extended(options, 0)), (jsonb_hash_extended(options, 1)),
     (coalesce(not_after, stop_after) IS NULL))
    WHERE state IN ('queued', 'waiting_for_lock', 'running') AND cancelled_at IS NULL;

COMMENT ON TABLE pitcrew.jobs IS
    'Maintenance jobs, one row each. Queue with pitcrew.submit_job(), cancel with pitcrew.cancel_job(), wait with CALL pitcrew.wait_job(). Each change of state is told to channel pitcrew_jobs. The last 10,000 are kept, and those whose index is still there.';
COMMENT ON COLUMN pitcrew.jobs.command IS
    'The command as submitted; replaced by the text that really runs when the job starts. Of a job in steps: the step that runs.';
COMMENT ON COLUMN pitcrew.jobs.state IS
    'queued; running, or waiting_for_lock while its worker waits for somebody else''s lock; done, failed, cancelled; orphaned: the row came with a dump, a clone or a promoted standby and is not run here.';
COMMENT ON COLUMN pitcrew.jobs.submitter IS 'The role that the job''s worker connects as.';
COMMENT ON COLUMN pitcrew.jobs.duration IS 'From the last start to the end.';
COMMENT ON COLUMN pitcrew.jobs.attempts IS
    'Times the job was started. One that could not get its lock is started again, pitcrew.job_lock_retries times at most.';
COMMENT ON COLUMN pitcrew.jobs.not_before IS 'A job that waits for its next attempt is not started before.';
COMMENT ON COLUMN pitcrew.jobs.progress IS
    'Row of pg_stat_progress_*, with step and steps of a job in steps, fraction (0 to 1) of the phase, and waiting_for (process ids) while it waits for a lock.';
COMMENT ON COLUMN pitcrew.jobs.eta IS 'When the phase ends if it goes on as fast as so far; NULL where the server counts nothing.';
COMMENT ON COLUMN pitcrew.jobs.before IS
    'Of the target before the job: bytes, table_bytes, index_bytes, live_rows, dead_rows, bloat_bytes (an estimate from statistics; NULL without them).';
COMMENT ON COLUMN pitcrew.jobs.after IS 'The same after it.';
COMMENT ON COLUMN pitcrew.jobs.hint IS 'What to do about the error.';
COMMENT ON COLUMN pitcrew.jobs.index_oid IS 'The index that the job created, also when the build failed.';
COMMENT ON COLUMN pitcrew.jobs.touched IS 'Indexes that a clean-up looks at when the job does not finish.';
COMMENT ON COLUMN pitcrew.jobs.schedule IS 'The schedule that queued it; NULL for a job that was submitted.';
COMMENT ON COLUMN pitcrew.jobs.not_after IS 'End of its maintenance window: a job that is still queued then is cancelled.';
COMMENT ON COLUMN pitcrew.jobs.stop_after IS 'The same for a job that runs (stop_at_end of the window).';
COMMENT ON COLUMN pitcrew.jobs.cancelled_at IS 'When the coordinator took a cancel request for it: from then on the same job is another one.';
COMMENT ON COLUMN pitcrew.jobs.origin IS 'System identifier, database OID and timeline where the job was submitted.';

-- Wishes of pitcrew.cancel_job(); the coordinator checks who asks, acts and deletes the row.
CREATE TABLE pitcrew.job_cancel_requests (
    job_id       bigint NOT NULL,
    requester    regrole NOT NULL DEFAULT (quote_ident(current_user)::regrole),
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pitcrew.job_cancel_requests IS 'Cancel requests that the coordinator has not seen yet.';
