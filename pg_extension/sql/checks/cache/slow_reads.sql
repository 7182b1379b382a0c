-- title: Reads from disk take long
-- needs: version 16, setting track_io_timing
-- default: min_reads = 1000
-- default: min_ms = 5
-- looked at: SELECT coalesce(sum(reads), 0) || ' reads' FROM pg_stat_io WHERE object = 'relation'
SELECT 'warn' AS severity, format('%s/%s', f.backend_type, f.context) AS object,
       format('a read takes %s ms on average over %s reads since %s: the disk is the limit, or the reads are more than it was bought for', round((f.read_time / f.reads)::numeric, 2), f.reads, f.stats_reset) AS detail,
       jsonb_build_object('reads', f.reads, 'read_ms', f.read_time, 'hits', f.hits, 'evictions', f.evictions) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pg_stat_io f
WHERE f.object = 'relation' AND f.reads >= {min_reads} AND f.read_time / f.reads >= {min_ms}
ORDER BY f.read_time DESC
