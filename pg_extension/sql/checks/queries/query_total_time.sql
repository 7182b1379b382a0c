-- title: Statement that takes much of all time
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_total_ms = 60000
-- default: min_percent = 20
-- default: warn_percent = 50
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT CASE WHEN f.percent >= {warn_percent} THEN 'warn' ELSE 'info' END AS severity,
       'query ' || f.queryid AS object,
       format('%s %% of all execution time in this database: %s calls, %s ms a call: %s', round(f.percent::numeric),
              f.calls, round((f.total_ms / f.calls)::numeric, 2), f.query) AS detail,
       jsonb_build_object('queryid', f.queryid, 'calls', f.calls, 'total_ms', f.total_ms, 'percent', f.percent) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT s.*, 100 * s.total_ms / nullif(sum(s.total_ms) OVER (), 0) AS percent FROM statements s) f
WHERE f.percent >= {min_percent} AND f.total_ms >= {min_total_ms}
ORDER BY f.total_ms DESC
