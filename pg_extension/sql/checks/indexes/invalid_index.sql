-- title: Index that is written but never read
-- uses: relations, indexes
-- looked at: SELECT count(*) || ' indexes' FROM indexes
SELECT 'warn' AS severity,
       i.object,
       CASE WHEN i.is_partitioned THEN 'invalid: some partition has no index that belongs to it; build it there and attach it'
            ELSE format('invalid: a concurrent build failed or still runs; it is no use to any query%s',
                        CASE WHEN i.is_ready THEN ', but every write keeps it up' ELSE '' END) END AS detail,
       jsonb_build_object('table', i.table_object, 'is_ready', i.is_ready, 'bytes', i.bytes) AS evidence,
       -- What REINDEX CONCURRENTLY left has a whole twin; anything else is built anew.
       CASE WHEN i.is_partitioned THEN NULL
            WHEN i.name ~ '_cc(new|old)[0-9]*$' AND EXISTS (
                SELECT 1 FROM indexes w WHERE w.table_oid = i.table_oid AND w.is_valid AND w.columns = i.columns AND w.classes = i.classes
                  AND starts_with(i.name, left(w.name, 55))) THEN format('DROP INDEX CONCURRENTLY %s', i.object)
            ELSE format('REINDEX INDEX CONCURRENTLY %s', i.object) END AS fix_sql,
       NULL AS fix_job,
       'high' AS confidence
FROM indexes i
WHERE NOT i.is_valid
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.oid)
ORDER BY i.bytes DESC, i.object
