-- title: Connections run out
-- needs: role pg_read_all_stats
-- default: min_percent = 80
-- default: critical_percent = 95
-- looked at: SELECT count(*) || ' of ' || current_setting('max_connections') || ' connections' FROM pg_stat_activity WHERE backend_type = 'client backend'
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       'max_connections' AS object,
       format('%s of %s connections are taken (%s %%), %s of them idle; %s more are reserved', f.taken, f.whole, round(f.percent), f.idle, f.kept) AS detail,
       jsonb_build_object('taken', f.taken, 'idle', f.idle, 'whole', f.whole) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT g.*, 100.0 * g.taken / g.whole AS percent
      FROM (SELECT count(*) AS taken, count(*) FILTER (WHERE a.state = 'idle') AS idle,
                   r.kept, current_setting('max_connections')::int - r.kept AS whole
            FROM pg_stat_activity a,
                 -- From 16 on some are kept for members of pg_use_reserved_connections.
                 (SELECT current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0) AS kept) r
            WHERE a.backend_type = 'client backend' GROUP BY r.kept) g) f
WHERE f.percent >= {min_percent}
