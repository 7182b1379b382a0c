-- Schedules whose time has come, longest due first; whether their last jobs are unfinished, and whether their owner may
-- still queue jobs, and whether some can be done only once.
SELECT s.name, s.rule, s.time_zone, s.maintenance_window::text, s.jitter_seconds::bigint, s.catch_up, s.created_at, s.next_run_at, s.run_now,
       EXISTS (SELECT 1 FROM pitcrew.jobs j WHERE j.id = ANY (s.last_jobs) AND j.state IN ('queued', 'waiting_for_lock', 'running')),
       coalesce(has_schema_privilege(s.owner, 'pitcrew', 'USAGE') AND has_column_privilege(s.owner, 'pitcrew.jobs', 'kind', 'INSERT'), false),
       s.kinds && ARRAY['create_index', 'drop_index']
FROM pitcrew.schedule_rows s
WHERE s.paused_at IS NULL AND (s.next_run_at IS NULL OR s.next_run_at <= clock_timestamp() OR s.run_now)
ORDER BY s.next_run_at NULLS FIRST, s.name
LIMIT 1000
