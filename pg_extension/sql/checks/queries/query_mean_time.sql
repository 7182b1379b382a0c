-- title: Statement that is slow each time
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_calls = 5
-- default: min_mean_ms = 1000
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || s.queryid AS object,
       format('%s ms a call, %s calls, %s rows a call: %s', round((s.total_ms / s.calls)::numeric, 1), s.calls, round(s.rows / s.calls), s.query) AS detail,
       jsonb_build_object('queryid', s.queryid, 'calls', s.calls, 'mean_ms', s.total_ms / s.calls) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM statements s
WHERE s.calls >= {min_calls} AND s.total_ms / s.calls >= {min_mean_ms}
ORDER BY s.total_ms / s.calls DESC
