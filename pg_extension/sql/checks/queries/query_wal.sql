-- title: Statement that writes much WAL
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats
-- default: min_bytes = 1073741824
-- default: min_percent = 30
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || f.queryid AS object,
       format('wrote %s of WAL, %s %% of all in this database, %s a call: %s', pg_size_pretty(f.wal_bytes::bigint), round(f.percent::numeric),
              pg_size_pretty((f.wal_bytes / f.calls)::bigint), f.query) AS detail,
       jsonb_build_object('queryid', f.queryid, 'calls', f.calls, 'wal_bytes', f.wal_bytes, 'percent', f.percent) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT s.*, 100 * s.wal_bytes / nullif(sum(s.wal_bytes) OVER (), 0) AS percent FROM statements s) f
WHERE f.wal_bytes >= {min_bytes} AND f.percent >= {min_percent}
ORDER BY f.wal_bytes DESC
