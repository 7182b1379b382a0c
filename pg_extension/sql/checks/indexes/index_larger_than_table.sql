-- title: Index larger than its table
-- uses: relations, indexes
-- default: min_bytes = 10485760
-- looked at: SELECT count(*) || ' indexes' FROM indexes
SELECT 'info' AS severity, i.object,
       format('%s, and its table is %s: it is bloated, or holds nearly every column', pg_size_pretty(i.bytes), pg_size_pretty(i.table_pages * current_setting('block_size')::bigint)) AS detail,
       jsonb_build_object('bytes', i.bytes, 'table_pages', i.table_pages) AS evidence,
       format('REINDEX INDEX CONCURRENTLY %s', i.object) AS fix_sql,
       jsonb_build_object('kind', 'reindex', 'target', i.object, 'options', jsonb_build_object()) AS fix_job,
       'low' AS confidence
FROM indexes i
WHERE i.bytes >= {min_bytes} AND i.pages > i.table_pages AND NOT i.is_partitioned
ORDER BY i.bytes DESC, i.object
