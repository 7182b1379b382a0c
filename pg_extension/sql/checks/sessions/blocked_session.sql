-- title: Session that waits for another
-- needs: role pg_read_all_stats
-- default: min_seconds = 5
-- default: critical_seconds = 60
-- looked at: SELECT count(*) || ' sessions' FROM pg_stat_activity WHERE backend_type = 'client backend'
SELECT CASE WHEN max(f.seconds) >= {critical_seconds} THEN 'critical' ELSE 'warn' END AS severity,
       'pid ' || b.pid AS object,
       format('user %s, application %s, %s for %s s: holds up %s, the longest for %s s', quote_ident(b.usename), quote_literal(b.application_name),
              coalesce(b.state, 'in no known state'), round(extract(epoch FROM clock_timestamp() - b.state_change)),
              CASE count(*) WHEN 1 THEN '1 session' ELSE count(*) || ' sessions' END, round(max(f.seconds))) AS detail,
       jsonb_build_object('pid', b.pid, 'user', b.usename, 'application', b.application_name, 'waiting', jsonb_agg(f.pid ORDER BY f.pid),
                          'seconds', round(max(f.seconds))) AS evidence,
       -- A session that itself waits is not the one to talk to.
       CASE WHEN cardinality(pg_blocking_pids(b.pid)) = 0 THEN format('SELECT pg_terminate_backend(%s)', b.pid) END AS fix_sql,
       NULL AS fix_job,
       'low' AS confidence
FROM (SELECT a.pid, unnest(pg_blocking_pids(a.pid)) AS blocker,
             extract(epoch FROM clock_timestamp() - a.query_start) AS seconds
      FROM pg_stat_activity a
      WHERE a.wait_event_type = 'Lock' AND a.datname = current_database()) f
JOIN pg_stat_activity b ON b.pid = f.blocker
WHERE f.seconds >= {min_seconds}
GROUP BY b.pid, b.usename, b.application_name, b.state, b.state_change
ORDER BY max(f.seconds) DESC
