-- title: Statement that is called very often
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_calls = 100000
-- default: min_percent = 30
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || f.queryid AS object,
       format('%s calls, %s %% of all in this database, %s ms each: many of them may be one with a join or a list: %s', f.calls, round(f.percent::numeric),
              round((f.total_ms / f.calls)::numeric, 3), f.query) AS detail,
       jsonb_build_object('queryid', f.queryid, 'calls', f.calls, 'percent', f.percent) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT s.*, 100 * s.calls / sum(s.calls) OVER () AS percent FROM statements s) f
WHERE f.calls >= {min_calls} AND f.percent >= {min_percent}
ORDER BY f.calls DESC
