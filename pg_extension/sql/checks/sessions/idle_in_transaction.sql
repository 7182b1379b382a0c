-- title: Session idle in a transaction
-- needs: role pg_read_all_stats
-- default: min_seconds = 60
-- default: critical_seconds = 3600
-- looked at: SELECT count(*) || ' sessions' FROM pg_stat_activity WHERE backend_type = 'client backend'
SELECT CASE WHEN f.seconds >= {critical_seconds} THEN 'critical' ELSE 'warn' END AS severity,
       'pid ' || f.pid AS object,
       format('user %s, application %s: idle in a transaction for %s s%s%s', quote_ident(f.usename), quote_literal(f.application_name),
              round(f.seconds),
              CASE WHEN f.backend_xmin IS NULL AND f.backend_xid IS NULL THEN '' ELSE ', and VACUUM cannot remove what died since' END,
              CASE WHEN f.locks = 0 THEN '' ELSE format(', with locks on %s relations', f.locks) END) AS detail,
       jsonb_build_object('pid', f.pid, 'user', f.usename, 'application', f.application_name, 'seconds', round(f.seconds), 'locks', f.locks) AS evidence,
       format('SELECT pg_terminate_backend(%s)', f.pid) AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM (SELECT a.*, extract(epoch FROM clock_timestamp() - a.state_change) AS seconds,
             (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation') AS locks
      FROM pg_stat_activity a
      WHERE a.state IN ('idle in transaction', 'idle in transaction (aborted)') AND a.datname = current_database()) f
WHERE f.seconds >= {min_seconds}
ORDER BY f.seconds DESC
