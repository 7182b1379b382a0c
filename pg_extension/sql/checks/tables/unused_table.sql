-- title: Table that nobody uses
-- uses: relations, indexes
-- needs: setting track_counts
-- default: min_bytes = 104857600
-- default: min_statistics_days = 30
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind = 'r'
SELECT 'info' AS severity, r.object,
       format('%s, and no query has read or changed it since the statistics began; a standby counts for itself', pg_size_pretty(r.bytes + r.toast_bytes)) AS detail,
       jsonb_build_object('bytes', r.bytes + r.toast_bytes, 'rows', r.tuples) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM relations r
WHERE r.kind = 'r' AND r.bytes + r.toast_bytes >= {min_bytes} AND r.seq_scans = 0 AND r.inserted = 0 AND r.updated = 0 AND r.deleted = 0
  AND NOT EXISTS (SELECT 1 FROM indexes i WHERE i.table_oid = r.oid AND i.scans > 0)
ORDER BY r.bytes + r.toast_bytes DESC, r.object
