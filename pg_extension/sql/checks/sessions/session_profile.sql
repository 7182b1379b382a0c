-- title: What most sessions do
-- needs: role pg_read_all_stats
-- default: min_sessions = 20
-- looked at: SELECT count(*) || ' sessions' FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database()
SELECT 'info' AS severity,
       format('%s/%s/%s/%s', f.usename, f.application_name, f.state, f.waits) AS object,
       format('%s sessions of user %s, application %s are %s%s, the longest for %s s', f.sessions, quote_ident(f.usename), quote_literal(f.application_name), f.state,
              CASE f.waits WHEN 'none' THEN '' ELSE ' and wait for ' || f.waits END, round(f.seconds)) AS detail,
       jsonb_build_object('user', f.usename, 'application', f.application_name, 'state', f.state, 'wait', f.waits, 'sessions', f.sessions) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT a.usename, a.application_name, coalesce(a.state, 'unknown') AS state, coalesce(a.wait_event_type, 'none') AS waits,
             count(*) AS sessions, max(extract(epoch FROM clock_timestamp() - a.state_change)) AS seconds
      FROM pg_stat_activity a
      WHERE a.backend_type = 'client backend' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
      GROUP BY 1, 2, 3, 4) f
WHERE f.sessions >= {min_sessions}
ORDER BY f.sessions DESC, 2
