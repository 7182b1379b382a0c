-- title: Transaction that is open for long
-- needs: role pg_read_all_stats
-- default: min_seconds = 3600
-- default: critical_seconds = 86400
-- looked at: SELECT count(*) || ' open transactions' FROM pg_stat_activity WHERE xact_start IS NOT NULL AND backend_type = 'client backend'
SELECT CASE WHEN f.seconds >= {critical_seconds} THEN 'critical' ELSE 'warn' END AS severity,
       'pid ' || f.pid AS object,
       format('user %s, application %s: its transaction is open for %s s, and the session is %s now%s', quote_ident(f.usename), quote_literal(f.application_name),
              round(f.seconds), coalesce(f.state, 'in no known state'),
              CASE WHEN f.backend_xmin IS NULL AND f.backend_xid IS NULL THEN '' ELSE ': VACUUM cannot remove what died since, and its locks stay' END) AS detail,
       jsonb_build_object('pid', f.pid, 'user', f.usename, 'application', f.application_name, 'seconds', round(f.seconds), 'state', f.state,
                          'transactions', greatest(age(f.backend_xmin), age(f.backend_xid))) AS evidence,
       format('SELECT pg_terminate_backend(%s)', f.pid) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT a.*, extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds
      FROM pg_stat_activity a
      WHERE a.xact_start IS NOT NULL AND a.backend_type = 'client backend' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
        -- VACUUM takes as long as it takes, and keeps no other from removing rows.
        AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)) f
WHERE f.seconds >= {min_seconds}
ORDER BY f.seconds DESC
