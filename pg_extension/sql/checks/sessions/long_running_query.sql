-- title: Statement that runs long
-- needs: role pg_read_all_stats
-- default: min_seconds = 300
-- default: warn_seconds = 3600
-- looked at: SELECT count(*) || ' running statements' FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend'
SELECT CASE WHEN f.seconds >= {warn_seconds} THEN 'warn' ELSE 'info' END AS severity,
       'pid ' || f.pid AS object,
       format('user %s, application %s: runs for %s s, %s', quote_ident(f.usename), quote_literal(f.application_name), round(f.seconds),
              coalesce('waits for ' || f.wait_event_type || ': ' || f.wait_event, 'on the processor')) AS detail,
       jsonb_build_object('pid', f.pid, 'user', f.usename, 'application', f.application_name, 'seconds', round(f.seconds), 'wait_event', f.wait_event, 'query_id', f.query_id) AS evidence,
       format('SELECT pg_cancel_backend(%s)', f.pid) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT a.*, extract(epoch FROM clock_timestamp() - a.query_start) AS seconds
      FROM pg_stat_activity a
      WHERE a.state = 'active' AND a.backend_type = 'client backend' AND a.datname = current_database() AND a.pid <> pg_backend_pid()) f
WHERE f.seconds >= {min_seconds}
ORDER BY f.seconds DESC
