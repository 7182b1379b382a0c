-- title: Application that works as a superuser
-- needs: role pg_read_all_stats
-- default: min_sessions = 1
-- looked at: SELECT count(*) || ' sessions' FROM pg_stat_activity WHERE backend_type = 'client backend'
SELECT 'warn' AS severity, format('%s/%s', f.usename, f.application_name) AS object,
       format('%s of application %s as superuser %s: one injected statement owns the server', CASE f.sessions WHEN 1 THEN '1 session' ELSE f.sessions || ' sessions' END,
              quote_literal(f.application_name), quote_ident(f.usename)) AS detail,
       jsonb_build_object('user', f.usename, 'application', f.application_name, 'sessions', f.sessions) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT a.usename, a.application_name, count(*) AS sessions
      FROM pg_stat_activity a JOIN pg_roles r ON r.rolname = a.usename
      WHERE a.backend_type = 'client backend' AND a.datname = current_database() AND r.rolsuper
        -- People and their tools may.
        AND a.application_name NOT IN ('', 'psql', 'pgAdmin 4', 'pg_dump', 'pg_restore', 'pg_basebackup')
      GROUP BY 1, 2) f
WHERE f.sessions >= {min_sessions}
ORDER BY f.sessions DESC, 2
