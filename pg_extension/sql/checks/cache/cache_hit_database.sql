-- title: Database reads past its cache
-- needs: setting track_counts
-- default: min_blocks = 100000
-- default: max_percent = 90
-- looked at: SELECT blks_hit + blks_read || ' blocks' FROM pg_stat_database WHERE datname = current_database()
SELECT 'info' AS severity, quote_ident(f.datname) AS object,
       format('%s %% of %s blocks were in shared_buffers (%s); the rest came from the system''s cache or from disk', round(f.percent, 1), f.whole, current_setting('shared_buffers')) AS detail,
       jsonb_build_object('blocks_read', f.blks_read, 'blocks_hit', f.blks_hit, 'read_ms', f.blk_read_time) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT d.*, d.blks_hit + d.blks_read AS whole, 100.0 * d.blks_hit / nullif(d.blks_hit + d.blks_read, 0) AS percent
      FROM pg_stat_database d WHERE d.datname = current_database()) f
WHERE f.blks_read >= {min_blocks} AND f.percent <= {max_percent}
