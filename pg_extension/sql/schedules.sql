-- Jobs that come again. A role writes and changes its own rows and no others (row security); what only the coordinator
-- writes is in no grant. The coordinator reads a row as it stands, so what is written past pitcrew.schedule() is judged
-- there: a row that makes no sense is paused, and a job is built and run as the owner alone.
--
-- Owner and targets are kept twice. The OIDs follow who and what is renamed, on the server that the row is of (origin). Elsewhere OIDs
-- are somebody else's, and the names count: as text, because a row is restored before there are indexes, and on servers where its owner
-- is not. The names are as the last run found them.
CREATE TABLE pitcrew.schedule_rows (
    name               text PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 200),
    rule               text NOT NULL CHECK (octet_length(rule) <= 1000),
    time_zone          text NOT NULL CHECK (octet_length(time_zone) <= 1000),
    maintenance_window jsonb CHECK (octet_length(maintenance_window::text) <= 2000),
    jitter_seconds     integer NOT NULL DEFAULT 0,
    catch_up           text NOT NULL DEFAULT 'once',
    kinds              text[] NOT NULL CHECK (cardinality(kinds) BETWEEN 1 AND 20 AND array_ndims(kinds) = 1 AND array_lower(kinds, 1) = 1
                                              AND array_position(kinds, NULL) IS NULL AND octet_length(kinds::text) <= 2000),
    targets            oid[] NOT NULL CHECK (cardinality(targets) = cardinality(kinds) AND array_ndims(targets) = 1 AND array_lower(targets, 1) = 1),
    target_names       text[] NOT NULL DEFAULT '{}' CHECK (cardinality(target_names) <= cardinality(kinds) AND octet_length(target_names::text) <= 10000
                                                           AND (target_names = '{}' OR array_ndims(target_names) = 1 AND array_lower(target_names, 1) = 1)),
    options            jsonb NOT NULL CHECK (CASE jsonb_typeof(options) WHEN 'array' THEN jsonb_array_length(options) = cardinality(kinds) ELSE false END
                                             AND octet_length(options::text) <= 100000),
    owner              oid NOT NULL DEFAULT (quote_ident(current_user)::regrole),
    owner_name         text NOT NULL DEFAULT current_user,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_run_at        timestamptz,
    run_now            boolean NOT NULL DEFAULT false,
    paused_at          timestamptz,
    paused_because     text,
    last_run_at        timestamptz,
    last_jobs          bigint[] NOT NULL DEFAULT '{}',
    runs               bigint NOT NULL DEFAULT 0,
    skipped            bigint NOT NULL DEFAULT 0,
    missed             bigint NOT NULL DEFAULT 0,
    sqlstate           text,
    hint               text,
    origin             text NOT NULL DEFAULT pitcrew.job_origin()
);
CREATE INDEX schedules_due ON pitcrew.schedule_rows (next_run_at) WHERE paused_at IS NULL;

CREATE FUNCTION pitcrew.schedule_owner(owner oid, owner_name text, origin text) RETURNS oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN (SELECT r.oid FROM pg_roles r WHERE CASE WHEN origin = pitcrew.job_origin() THEN r.oid = owner ELSE r.rolname::text = owner_name END);
COMMENT ON FUNCTION pitcrew.schedule_owner(oid, text, text) IS
    'The role that a row of pitcrew.schedule_rows belongs to here, by its OID, or by its name where the row is of another server; NULL without one.';

ALTER TABLE pitcrew.schedule_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen_by_readers ON pitcrew.schedule_rows FOR SELECT USING (true);
CREATE POLICY made_by_owner ON pitcrew.schedule_rows FOR INSERT
    WITH CHECK (pg_catalog.pg_has_role(pitcrew.schedule_owner(owner, owner_name, origin), 'USAGE'));
CREATE POLICY changed_by_owner ON pitcrew.schedule_rows FOR UPDATE
    USING (pg_catalog.pg_has_role(pitcrew.schedule_owner(owner, owner_name, origin), 'USAGE'));
CREATE POLICY removed_by_owner ON pitcrew.schedule_rows FOR DELETE
    USING (pg_catalog.pg_has_role(pitcrew.schedule_owner(owner, owner_name, origin), 'USAGE'));

-- They go along in a dump, and arrive paused: origin says that they are another server's.
SELECT pg_catalog.pg_extension_config_dump('pitcrew.schedule_rows', '');

COMMENT ON TABLE pitcrew.schedule_rows IS 'The rows of pitcrew.schedules, as the coordinator left them.';

-- What came with a dump, a clone or a promoted standby says so to whoever looks, also before the coordinator has been there and has
-- written it down. On a replica they are its primary's, where they run.
CREATE VIEW pitcrew.schedules WITH (security_invoker = true) AS
SELECT s.name, s.rule, s.time_zone, s.maintenance_window, s.jitter_seconds, s.catch_up, s.kinds,
       ARRAY(SELECT CASE WHEN c.oid IS NULL THEN coalesce(t.name, t.target::text) ELSE c.oid::regclass::text END
             FROM unnest(s.targets, s.target_names) WITH ORDINALITY t (target, name, place)
             LEFT JOIN pg_class c ON c.oid = t.target AND s.origin = pitcrew.job_origin()
             ORDER BY t.place) AS targets,
       s.options, coalesce((SELECT r.rolname::text FROM pg_roles r WHERE r.oid = s.owner AND s.origin = pitcrew.job_origin()), s.owner_name) AS owner,
       s.created_at, s.next_run_at,
       s.run_now AND NOT f.is_foreign AS run_now,
       CASE WHEN f.is_foreign THEN clock_timestamp() ELSE s.paused_at END AS paused_at,
       CASE WHEN f.is_foreign THEN 'made on another server, database or timeline' ELSE s.paused_because END AS paused_because,
       s.last_run_at, s.last_jobs, s.runs, s.skipped, s.missed, s.sqlstate,
       CASE WHEN f.is_foreign THEN 'SELECT pitcrew.resume_schedule(' || quote_literal(s.name) || ') runs it here.' ELSE s.hint END AS hint,
       s.origin
FROM pitcrew.schedule_rows s
CROSS JOIN LATERAL (SELECT s.paused_at IS NULL AND s.origin <> pitcrew.job_origin() AND NOT pg_is_in_recovery()) f (is_foreign);

COMMENT ON VIEW pitcrew.schedules IS
    'Jobs that come again, one row a schedule. Made by pitcrew.schedule(), removed by pitcrew.unschedule(). pitcrew.jobs.schedule names the schedule of a job.';
COMMENT ON COLUMN pitcrew.schedules.rule IS 'Five or six cron fields, a name such as @daily, or an interval such as 15 minutes.';
COMMENT ON COLUMN pitcrew.schedules.time_zone IS 'Where cron patterns are read, and the window unless it has a zone of its own.';
COMMENT ON COLUMN pitcrew.schedules.jitter_seconds IS
    '0 to 3600: each run is later by a share of this that the name decides, so that schedules do not all start at once.';
COMMENT ON COLUMN pitcrew.schedules.catch_up IS
    'What is done when a run was missed by more than a minute: once (one run makes up for all) or none.';
COMMENT ON COLUMN pitcrew.schedules.targets IS
    'A relation for each of kinds, or NULL; of a schedule that is of another server, the name that it had there.';
COMMENT ON COLUMN pitcrew.schedules.owner IS 'The role that the jobs run as; of a schedule that is of another server, its name there.';
COMMENT ON COLUMN pitcrew.schedules.created_at IS 'Intervals are reckoned from here.';
COMMENT ON COLUMN pitcrew.schedules.run_now IS 'Asked for by pitcrew.run_schedule() and not done yet.';
COMMENT ON COLUMN pitcrew.schedules.paused_because IS
    'Why it does not run: somebody paused it, it cannot be run (sqlstate, hint), or it came with a dump, a clone or a promoted standby. pitcrew.resume_schedule() takes it up again.';
COMMENT ON COLUMN pitcrew.schedules.last_jobs IS 'The jobs of the last run, in pitcrew.jobs. While one is unfinished a run is left out.';
COMMENT ON COLUMN pitcrew.schedules.skipped IS 'Runs left out because the last one was not finished.';
COMMENT ON COLUMN pitcrew.schedules.missed IS 'Times that runs were left out because nobody was there to start them, or the window was closed.';
COMMENT ON COLUMN pitcrew.schedules.origin IS 'System identifier, database OID and timeline where the schedule was made or resumed.';
