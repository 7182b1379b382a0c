-- title: Index that holds mostly nulls
-- uses: relations, indexes, columns
-- needs: column statistics
-- default: min_bytes = 1048576
-- default: min_null_share = 0.9
-- looked at: SELECT count(*) || ' indexes on one column' FROM indexes WHERE key_columns = 1 AND expressions IS NULL
SELECT 'info' AS severity,
       i.object,
       format('%s %% of its %s entries are null; without them it would take about %s instead of %s, if no query looks for the nulls',
              round((100 * c.null_share)::numeric, 1), round(i.tuples), pg_size_pretty((i.bytes * (1 - c.null_share))::bigint),
              pg_size_pretty(i.bytes)) AS detail,
       jsonb_build_object('null_share', c.null_share, 'bytes', i.bytes) AS evidence,
       CASE WHEN i.directions[0] = 0 AND EXISTS (SELECT 1 FROM pg_opclass o WHERE o.oid = i.first_class AND o.opcdefault)
                 AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = i.table_oid AND a.attnum = i.first_column AND a.attcollation = i.collations[0])
            THEN format(E'CREATE INDEX CONCURRENTLY ON %s (%s) WHERE %2$s IS NOT NULL;\nDROP INDEX CONCURRENTLY %3$s',
              i.table_object, (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = i.table_oid AND a.attnum = i.first_column), i.object) END AS fix_sql,
       NULL AS fix_job,
       'low' AS confidence
FROM indexes i
JOIN columns c ON c.table_oid = i.table_oid AND c.number = i.first_column
WHERE i.key_columns = 1 AND cardinality(i.columns) = 1 AND i.method = 'btree'
  AND i.predicate IS NULL AND NOT i.is_unique AND NOT i.is_constraint AND NOT i.is_marked AND i.is_valid
  AND NOT i.is_partition AND NOT i.is_partitioned
  AND i.bytes >= {min_bytes} AND c.null_share >= {min_null_share}
ORDER BY i.bytes DESC, i.object
