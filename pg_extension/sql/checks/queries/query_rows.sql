-- title: Statement that answers very many rows
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_rows = 10000
-- default: min_calls = 10
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || s.queryid AS object,
       format('%s rows a call over %s calls: nobody reads that many; a LIMIT, a page or a cursor would do: %s', round(s.rows / s.calls), s.calls, s.query) AS detail,
       jsonb_build_object('queryid', s.queryid, 'calls', s.calls, 'rows', s.rows) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM statements s
WHERE s.calls >= {min_calls} AND s.rows / s.calls >= {min_rows} AND s.query ~* '^\s*\(*\s*(select|with|table|values)\y'
ORDER BY s.rows DESC
