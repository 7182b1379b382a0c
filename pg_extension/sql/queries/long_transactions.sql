-- The oldest transaction of this database that a concurrent build would wait for and that is older than $1 seconds.
SELECT format('process %s (%s, %s) has a transaction open for %s, %s', a.pid, coalesce(a.usename, '?'),
              coalesce(nullif(a.application_name, ''), a.backend_type),
              date_trunc('second', clock_timestamp() - a.xact_start), coalesce(a.state, '?'))
FROM pg_stat_activity a
WHERE a.datname = current_database()
  AND a.pid <> pg_backend_pid()
  AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
  AND a.backend_type NOT IN ('pitcrew job', 'autovacuum worker')
  AND a.xact_start < clock_timestamp() - make_interval(secs => $1)
ORDER BY a.xact_start
LIMIT 1
