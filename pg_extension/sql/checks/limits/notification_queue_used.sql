-- title: The queue of NOTIFY fills up
-- needs: role pg_read_all_stats
-- default: min_percent = 20
-- default: critical_percent = 50
-- looked at: SELECT 'a queue that is full to ' || round((100 * pg_notification_queue_usage())::numeric, 4) || ' %'
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity, 'NOTIFY' AS object,
       format('%s %% of the queue wait for a session that listens and does not come to it; where it is full, a transaction that notifies fails at its COMMIT%s', round(f.percent::numeric, 4),
              CASE WHEN o.pid IS NULL THEN '' ELSE format('. A session in a transaction gets nothing: the oldest is pid %s, user %s, application %s', o.pid, quote_ident(o.usename), quote_literal(o.application_name)) END) AS detail,
       jsonb_build_object('percent', f.percent, 'pid', o.pid, 'xact_start', o.xact_start) AS evidence,
       -- Which sessions listen only they know.
       CASE WHEN o.pid IS NOT NULL THEN format('SELECT pg_terminate_backend(%s)', o.pid) END AS fix_sql, NULL AS fix_job, CASE WHEN o.pid IS NOT NULL THEN 'low' END AS confidence
FROM (SELECT 100 * pg_notification_queue_usage() AS percent) f
LEFT JOIN (SELECT a.pid, a.usename, a.application_name, a.xact_start FROM pg_stat_activity a
           WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
           ORDER BY a.xact_start LIMIT 1) o ON true
WHERE f.percent > 0 AND f.percent >= {min_percent}
