-- title: Connections that nobody uses
-- needs: role pg_read_all_stats
-- default: min_sessions = 10
-- default: min_seconds = 3600
-- looked at: SELECT count(*) || ' idle sessions' FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'idle'
SELECT 'info' AS severity,
       format('%s/%s', f.usename, f.application_name) AS object,
       format('%s connections of user %s, application %s have been idle for more than %s s, the longest for %s s: its pool may be smaller', f.sessions, quote_ident(f.usename),
              quote_literal(f.application_name), {min_seconds}, round(f.seconds)) AS detail,
       jsonb_build_object('user', f.usename, 'application', f.application_name, 'sessions', f.sessions, 'seconds', round(f.seconds)) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT a.usename, a.application_name, count(*) AS sessions, max(extract(epoch FROM clock_timestamp() - a.state_change)) AS seconds
      FROM pg_stat_activity a
      WHERE a.backend_type = 'client backend' AND a.datname = current_database() AND a.state = 'idle'
        AND extract(epoch FROM clock_timestamp() - a.state_change) >= {min_seconds}
      GROUP BY 1, 2) f
WHERE f.sessions >= {min_sessions}
ORDER BY f.sessions DESC, 2
