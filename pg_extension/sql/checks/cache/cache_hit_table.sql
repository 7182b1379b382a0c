-- title: Table that is read past the cache
-- uses: relations
-- needs: setting track_counts
-- default: min_blocks = 100000
-- default: max_percent = 90
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'info' AS severity, r.object,
       format('%s of %s blocks were not in shared_buffers (%s %% were); the table is %s', r.blocks_fetched - r.blocks_hit, r.blocks_fetched,
              round(100.0 * r.blocks_hit / r.blocks_fetched, 1), pg_size_pretty(r.bytes)) AS detail,
       jsonb_build_object('blocks_fetched', r.blocks_fetched, 'blocks_hit', r.blocks_hit, 'bytes', r.bytes) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM relations r
WHERE r.blocks_fetched - r.blocks_hit >= {min_blocks} AND 100.0 * r.blocks_hit / r.blocks_fetched <= {max_percent}
ORDER BY r.blocks_fetched - r.blocks_hit DESC, r.object
