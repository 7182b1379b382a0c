-- title: Statement that spills to disk
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_blocks = 10000
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || s.queryid AS object,
       -- A report has a work_mem of its own, so its reset_val is what others have.
       format('wrote %s to temporary files, %s a call, with work_mem = %s: %s', pg_size_pretty((s.temp_blocks * current_setting('block_size')::int)::bigint),
              pg_size_pretty((s.temp_blocks / s.calls * current_setting('block_size')::int)::bigint), (SELECT pg_size_pretty(w.reset_val::bigint * 1024) FROM pg_settings w WHERE w.name = 'work_mem'), s.query) AS detail,
       jsonb_build_object('queryid', s.queryid, 'calls', s.calls, 'temp_blocks', s.temp_blocks) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM statements s
WHERE s.temp_blocks >= {min_blocks}
ORDER BY s.temp_blocks DESC
