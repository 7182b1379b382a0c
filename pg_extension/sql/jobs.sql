-- Maintenance jobs. A submitter may give kind, target, options and command alone: everything else has a default that
-- it cannot choose, or is written by the coordinator (a superuser's process), which runs nothing but what it builds
-- again from kind, target and options.
CREATE TABLE pitcrew.jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    target       regclass,
    command      text,
    state        text NOT NULL DEFAULT 'queued'
                 CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'lost', 'orphaned')),
    submitter    regrole NOT NULL DEFAULT (quote_ident(current_user)::regrole),
    submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,
    finished_at  timestamptz,
    sqlstate     text,
    error        text,
    options      jsonb NOT NULL DEFAULT '{}',
    index_oid    oid,
    origin       text NOT NULL DEFAULT pitcrew.job_origin()
);
CREATE INDEX jobs_unfinished ON pitcrew.jobs (id) WHERE state IN ('queued', 'running');

COMMENT ON TABLE pitcrew.jobs IS
    'Maintenance jobs, one row each. Queue with pitcrew.submit_job(), cancel with pitcrew.cancel_job().';
COMMENT ON COLUMN pitcrew.jobs.command IS
    'The command as submitted; replaced by the text that really runs when the job starts.';
COMMENT ON COLUMN pitcrew.jobs.state IS
    'queued, running, done, failed, cancelled; lost: the server went down in the middle; orphaned: the row came with a dump, a clone or a promoted standby and is not run here.';
COMMENT ON COLUMN pitcrew.jobs.submitter IS 'The role that the job''s worker connects as.';
COMMENT ON COLUMN pitcrew.jobs.index_oid IS 'The index that the job created, also when the build failed.';
COMMENT ON COLUMN pitcrew.jobs.origin IS 'System identifier, database OID and timeline where the job was submitted.';

-- Wishes of pitcrew.cancel_job(); the coordinator checks who asks, acts and deletes the row.
CREATE TABLE pitcrew.job_cancel_requests (
    job_id       bigint NOT NULL,
    requester    regrole NOT NULL DEFAULT (quote_ident(current_user)::regrole),
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pitcrew.job_cancel_requests IS 'Cancel requests that the coordinator has not seen yet.';
