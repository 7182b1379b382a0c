-- Queues the jobs of schedule $1, not to start after $3 and to be cancelled at $4; its next run is at $2. A job that is
-- queued already is not queued twice: the run waits for that one. A relation that was dropped and made again is found by its name.
WITH wanted AS (
    SELECT s.name, s.owner, s.kinds[p.place] AS kind, coalesce(c.oid, to_regclass(s.target_names[p.place])::oid, s.targets[p.place]) AS target,
           coalesce(c.oid::regclass::text, s.target_names[p.place]) AS target_name, s.options -> (p.place - 1) AS options, p.place
    FROM pitcrew.schedule_rows s
    CROSS JOIN generate_subscripts(s.kinds, 1) p (place)
    LEFT JOIN pg_class c ON c.oid = s.targets[p.place]
    WHERE s.name = $1
), new AS (
    INSERT INTO pitcrew.jobs (kind, target, options, submitter, schedule, not_after, stop_after)
    SELECT w.kind, w.target, w.options, w.owner, w.name, $3, $4 FROM wanted w ORDER BY w.place
    ON CONFLICT DO NOTHING
    RETURNING id
), told AS (
    SELECT array_agg(n.id) AS ids, count(pg_notify('pitcrew_jobs', json_build_object('id', n.id, 'state', 'queued')::text)) FROM new n
), joined AS (
    SELECT array_agg(j.id) AS ids
    FROM wanted w
    JOIN pitcrew.jobs j ON j.state IN ('queued', 'waiting_for_lock', 'running') AND j.cancelled_at IS NULL AND j.origin = pitcrew.job_origin()
         AND j.submitter = w.owner AND j.kind = w.kind AND j.target IS NOT DISTINCT FROM w.target AND j.options = w.options
         AND (coalesce(j.not_after, j.stop_after) IS NULL) = (coalesce($3, $4) IS NULL)
)
UPDATE pitcrew.schedule_rows s
SET last_run_at = clock_timestamp(), next_run_at = $2, run_now = false, runs = s.runs + 1,
    last_jobs = coalesce(t.ids, '{}') || coalesce(j.ids, '{}'), sqlstate = NULL, hint = NULL,
    targets = (SELECT array_agg(w.target ORDER BY w.place) FROM wanted w),
    target_names = (SELECT array_agg(w.target_name ORDER BY w.place) FROM wanted w),
    owner_name = coalesce((SELECT r.rolname FROM pg_roles r WHERE r.oid = s.owner), s.owner_name)
FROM told t, joined j
WHERE s.name = $1
