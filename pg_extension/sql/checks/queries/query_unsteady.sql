-- title: Statement whose time is not to be foretold
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_calls = 50
-- default: min_ratio = 3
-- default: min_ms = 50
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || s.queryid AS object,
       format('%s ms on average and %s ms of standard deviation over %s calls, %s ms at worst: it waits for locks, reads cold pages, or its plan fits some parameters and not others: %s',
              round((s.total_ms / s.calls)::numeric, 1), round(s.deviation_ms::numeric, 1), s.calls, round(s.max_ms::numeric, 1), s.query) AS detail,
       jsonb_build_object('queryid', s.queryid, 'calls', s.calls, 'mean_ms', s.total_ms / s.calls, 'deviation_ms', s.deviation_ms, 'max_ms', s.max_ms) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM statements s
WHERE s.calls >= {min_calls} AND s.deviation_ms >= {min_ms} AND s.deviation_ms >= {min_ratio} * s.total_ms / s.calls
ORDER BY s.deviation_ms * s.calls DESC
