-- title: Lock table fills up
-- default: min_percent = 50
-- default: critical_percent = 80
-- looked at: SELECT count(*) || ' locks in the shared table' FROM pg_locks WHERE NOT fastpath
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       'max_locks_per_transaction' AS object,
       format('%s locks are held where %s are sure to fit (%s %%): beyond them statements of any session may fail; pid %s holds %s', f.held, f.whole, round(f.percent), f.pid, f.most) AS detail,
       jsonb_build_object('locks', f.held, 'fit', f.whole, 'pid', f.pid, 'pid_locks', f.most) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT g.*, 100.0 * g.held / g.whole AS percent
      FROM (SELECT sum(count(*)) OVER () AS held, l.pid, count(*) AS most,
                   current_setting('max_locks_per_transaction')::bigint
                       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint) AS whole
            FROM pg_locks l WHERE NOT l.fastpath GROUP BY l.pid ORDER BY count(*) DESC LIMIT 1) g) f
WHERE f.percent >= {min_percent}
