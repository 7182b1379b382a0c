-- title: Index that no query has used
-- uses: relations, indexes
-- needs: setting track_counts
-- default: min_statistics_days = 7
-- default: min_bytes = 1048576
-- looked at: SELECT count(*) || ' indexes that enforce nothing' FROM indexes WHERE NOT is_unique AND NOT is_constraint
SELECT CASE WHEN i.bytes >= 100 * 1048576::bigint THEN 'warn' ELSE 'info' END AS severity,
       i.object,
       format('never scanned since the statistics began; %s, %s rows. A standby that queries use counts its own scans: look there too',
              pg_size_pretty(i.bytes), round(i.tuples)) AS detail,
       jsonb_build_object('scans', i.scans, 'bytes', i.bytes, 'table', i.table_object) AS evidence,
       format('DROP INDEX CONCURRENTLY %s', i.object) AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM indexes i
WHERE i.scans = 0 AND i.bytes >= {min_bytes}
  AND NOT i.is_unique AND NOT i.is_constraint AND NOT i.is_exclusion AND NOT i.is_marked
  AND i.is_valid AND NOT i.is_partition AND NOT i.is_partitioned
ORDER BY i.bytes DESC, i.object
