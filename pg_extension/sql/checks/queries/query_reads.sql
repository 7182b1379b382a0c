-- title: Statement that reads much from outside the cache
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_blocks = 100000
-- default: min_percent = 30
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || f.queryid AS object,
       format('read %s blocks that were not in shared_buffers, %s %% of all in this database, %s a call: %s', f.blocks_read, round(f.percent::numeric),
              round((f.blocks_read / f.calls)::numeric, 1), f.query) AS detail,
       jsonb_build_object('queryid', f.queryid, 'blocks_read', f.blocks_read, 'blocks_hit', f.blocks_hit, 'percent', f.percent) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT s.*, 100 * s.blocks_read / nullif(sum(s.blocks_read) OVER (), 0) AS percent FROM statements s) f
WHERE f.blocks_read >= {min_blocks} AND f.percent >= {min_percent}
ORDER BY f.blocks_read DESC
