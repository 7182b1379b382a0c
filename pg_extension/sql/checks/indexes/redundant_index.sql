-- title: Index that a longer one replaces
-- uses: relations, indexes, rival_indexes
-- looked at: SELECT count(*) || ' B-tree indexes' FROM indexes WHERE method = 'btree'
SELECT 'info' AS severity,
       f.object,
       format('its columns are the first of %s, which serves the same look-ups; %s are written and kept for it', f.longer, pg_size_pretty(f.bytes)) AS detail,
       jsonb_build_object('longer', f.longer, 'bytes', f.bytes, 'scans', f.scans) AS evidence,
       format('DROP INDEX CONCURRENTLY %s', f.object) AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM (SELECT DISTINCT ON (s.oid) s.*, l.object AS longer
      FROM rival_indexes s
      JOIN rival_indexes l ON l.table_oid = s.table_oid AND l.first_column = s.first_column AND l.oid <> s.oid
      WHERE s.method = 'btree' AND l.method = 'btree' AND s.is_valid AND l.is_valid
        AND NOT s.is_unique AND NOT s.is_constraint AND NOT s.is_marked AND NOT s.is_partition AND NOT s.is_partitioned
        AND s.expressions IS NULL AND l.expressions IS NULL AND s.predicate IS NOT DISTINCT FROM l.predicate
        -- Every column counts, INCLUDE's too; only key columns of the longer one are in order.
        AND l.key_columns > s.key_columns AND s.key_columns = cardinality(s.columns)
        AND l.columns[0:s.key_columns - 1] = s.columns[0:s.key_columns - 1]
        AND l.classes[0:s.key_columns - 1] = s.classes[0:s.key_columns - 1]
        AND l.collations[0:s.key_columns - 1] = s.collations[0:s.key_columns - 1]
        AND l.directions[0:s.key_columns - 1] = s.directions[0:s.key_columns - 1]
      ORDER BY s.oid, l.key_columns, l.name) f
ORDER BY f.bytes DESC, f.object
