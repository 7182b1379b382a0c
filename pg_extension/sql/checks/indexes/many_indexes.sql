-- title: Table with many indexes
-- uses: relations, indexes
-- default: min_indexes = 12
-- looked at: SELECT count(*) || ' tables' FROM relations
SELECT 'info' AS severity, r.object,
       format('%s indexes of %s, %s of them never scanned since the statistics began: each insert writes them all', f.many, pg_size_pretty(f.bytes), f.unused) AS detail,
       jsonb_build_object('indexes', f.many, 'bytes', f.bytes, 'never_scanned', f.unused) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT i.table_oid, count(*) AS many, sum(i.bytes)::bigint AS bytes, count(*) FILTER (WHERE i.scans = 0) AS unused
      FROM indexes i GROUP BY i.table_oid HAVING count(*) >= {min_indexes}) f
JOIN relations r ON r.oid = f.table_oid
ORDER BY f.many DESC, r.object
