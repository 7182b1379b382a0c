-- title: A database or role near its own limit of connections
-- needs: role pg_read_all_stats
-- default: min_percent = 80
-- looked at: SELECT (SELECT count(*) FROM pg_database WHERE datconnlimit > 0) || ' databases and ' || (SELECT count(*) FROM pg_roles WHERE rolconnlimit > 0) || ' roles with a limit'
SELECT 'warn' AS severity, f.kind || ' ' || f.name AS object,
       format('%s of its %s connections are taken, %s of them idle: the next but %s is refused, however many the server has left', f.taken, f.most, f.idle, greatest(f.most - f.taken, 0)) AS detail,
       jsonb_build_object('taken', f.taken, 'idle', f.idle, 'most', f.most) AS evidence,
       format('ALTER %s %s CONNECTION LIMIT %s', upper(f.kind), f.name, 2 * f.most) AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM (SELECT 'database' AS kind, quote_ident(d.datname) AS name, d.datconnlimit AS most, count(*) AS taken, count(*) FILTER (WHERE a.state = 'idle') AS idle
      FROM pg_database d JOIN pg_stat_activity a ON a.datid = d.oid AND a.backend_type IN ('client backend', 'walsender')
      WHERE d.datconnlimit > 0 GROUP BY 2, 3
      UNION ALL
      SELECT 'role', quote_ident(r.rolname), r.rolconnlimit, count(*), count(*) FILTER (WHERE a.state = 'idle')
      FROM pg_roles r JOIN pg_stat_activity a ON a.usesysid = r.oid AND a.backend_type IN ('client backend', 'walsender')
      -- Superusers have no limit.
      WHERE r.rolconnlimit > 0 AND NOT r.rolsuper GROUP BY 2, 3) f
WHERE 100.0 * f.taken / f.most >= {min_percent}
ORDER BY 1.0 * f.taken / f.most DESC, 2
