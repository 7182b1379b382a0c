-- title: Index on a column of few values
-- uses: relations, indexes, columns
-- needs: column statistics
-- default: min_rows = 10000
-- default: max_values = 5
-- looked at: SELECT count(*) || ' indexes on one column' FROM indexes WHERE key_columns = 1 AND expressions IS NULL
SELECT 'info' AS severity, i.object,
       format('its column has %s values in %s rows: for a common one reading the whole table is cheaper; a partial index on the rare ones is smaller than %s', c.distinct_values,
              round(i.tuples), pg_size_pretty(i.bytes)) AS detail,
       jsonb_build_object('values', c.distinct_values, 'rows', i.tuples, 'bytes', i.bytes, 'scans', i.scans) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM indexes i
JOIN columns c ON c.table_oid = i.table_oid AND c.number = i.first_column
WHERE i.key_columns = 1 AND cardinality(i.columns) = 1 AND i.method = 'btree' AND i.predicate IS NULL
  AND NOT i.is_unique AND NOT i.is_constraint AND i.is_valid AND NOT i.is_partitioned
  AND i.tuples >= {min_rows} AND c.distinct_values BETWEEN 1 AND {max_values}
ORDER BY i.bytes DESC, i.object
