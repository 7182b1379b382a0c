-- title: Background workers are nearly used up
-- needs: role pg_read_all_stats
-- default: min_percent = 90
-- looked at: SELECT count(*) || ' of ' || current_setting('max_worker_processes') || ' worker processes' FROM pg_stat_activity WHERE backend_type NOT IN ('client backend', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer', 'walwriter', 'walsender', 'walreceiver', 'startup', 'archiver', 'slotsync worker', 'io worker', 'walsummarizer')
SELECT 'warn' AS severity, 'max_worker_processes' AS object,
       format('%s of %s are taken: parallel queries run alone, and jobs and subscriptions wait for a place', f.used, f.most) AS detail,
       jsonb_build_object('used', f.used, 'max_worker_processes', f.most, 'by_kind', f.kinds) AS evidence,
       format('ALTER SYSTEM SET max_worker_processes = %s', 2 * f.most) AS fix_sql, NULL AS fix_job, 'medium' AS confidence
FROM (SELECT sum(k.workers)::bigint AS used, current_setting('max_worker_processes')::int AS most, jsonb_object_agg(k.backend_type, k.workers) AS kinds
      FROM (SELECT a.backend_type, count(*) AS workers FROM pg_stat_activity a
            WHERE a.backend_type NOT IN ('client backend', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer', 'walwriter', 'walsender', 'walreceiver',
                                         'startup', 'archiver', 'slotsync worker', 'io worker', 'walsummarizer')
            GROUP BY 1) k) f
WHERE 100.0 * f.used / f.most >= {min_percent}
