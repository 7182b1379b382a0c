-- title: Index that is read past the cache
-- uses: relations, indexes
-- needs: setting track_counts
-- default: min_blocks = 100000
-- default: max_percent = 95
-- looked at: SELECT count(*) || ' indexes' FROM indexes
SELECT 'info' AS severity, i.object,
       format('%s of %s blocks were not in shared_buffers (%s %% were); the index is %s', i.blocks_fetched - i.blocks_hit, i.blocks_fetched,
              round(100.0 * i.blocks_hit / i.blocks_fetched, 1), pg_size_pretty(i.bytes)) AS detail,
       jsonb_build_object('blocks_fetched', i.blocks_fetched, 'blocks_hit', i.blocks_hit, 'bytes', i.bytes) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM indexes i
WHERE i.blocks_fetched - i.blocks_hit >= {min_blocks} AND 100.0 * i.blocks_hit / i.blocks_fetched <= {max_percent}
ORDER BY i.blocks_fetched - i.blocks_hit DESC, i.object
