-- Queues the jobs of schedule $1, not to start after $3 and to be cancelled at $4; its next run is at $2. A job that is
-- queued already is not queued twice.
WITH wanted AS (
    SELECT s.name, s.owner, s.kinds[p.place] AS kind, s.targets[p.place] AS target, s.options -> (p.place - 1) AS options, p.place
    FROM pitcrew.schedule_rows s, generate_subscripts(s.kinds, 1) p (place)
    WHERE s.name = $1
), new AS (
    INSERT INTO pitcrew.jobs (kind, target, options, submitter, schedule, not_after, stop_after)
    SELECT w.kind, w.target, w.options, w.owner, w.name, $3, $4 FROM wanted w ORDER BY w.place
    ON CONFLICT DO NOTHING
    RETURNING id
), told AS (
    SELECT array_agg(n.id) AS ids, count(pg_notify('pitcrew_jobs', json_build_object('id', n.id, 'state', 'queued')::text)) FROM new n
)
UPDATE pitcrew.schedule_rows s
SET last_run_at = clock_timestamp(), next_run_at = $2, run_now = false, runs = s.runs + 1, last_jobs = coalesce(t.ids, '{}'),
    sqlstate = NULL, hint = NULL
FROM told t
WHERE s.name = $1
