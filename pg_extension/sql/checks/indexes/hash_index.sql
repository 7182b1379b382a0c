-- title: B-tree whose order nobody uses
-- uses: indexes, columns
-- needs: extension pg_stat_statements, role pg_read_all_stats, column statistics
-- default: min_bytes = 104857600
-- default: min_width = 16
-- default: min_statistics_days = 7
-- looked at: SELECT count(*) || ' B-trees' FROM indexes WHERE method = 'btree'
SELECT 'info' AS severity, f.object,
       format('%s over %s, whose values are %s bytes on average; of the %s statements that pg_stat_statements knows with both names none sorts, groups or compares by more than =: a hash index keeps 4 bytes a value', pg_size_pretty(f.bytes),
              quote_ident(f.column_name), f.width, f.statements) AS detail,
       jsonb_build_object('bytes', f.bytes, 'width', f.width, 'scans', f.scans, 'statements', f.statements) AS evidence,
       format(E'CREATE INDEX CONCURRENTLY ON %s USING hash (%I);\nDROP INDEX CONCURRENTLY %s', f.table_object, f.column_name, f.object) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT i.object, i.table_object, i.bytes, i.scans, a.attname AS column_name, w.width, q.statements, q.ordered
      FROM indexes i
      JOIN columns w ON w.table_oid = i.table_oid AND w.number = i.first_column
      JOIN pg_attribute a ON a.attrelid = i.table_oid AND a.attnum = i.first_column
      JOIN pg_class t ON t.oid = i.table_oid
      CROSS JOIN LATERAL (
          SELECT count(*) AS statements,
                 count(*) FILTER (WHERE s.query ~* '\y(order\s+by|group\s+by|distinct|between|like|ilike|min|max|partition\s+by|merge)\y|[<>~]') AS ordered
          FROM {pg_stat_statements}.pg_stat_statements s
          WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
            AND strpos(s.query, t.relname) > 0 AND strpos(s.query, a.attname) > 0
            AND s.query ~* '^[\s(]*(select|insert|update|delete|merge|with)\y') q
      WHERE i.method = 'btree' AND i.bytes >= {min_bytes} AND i.key_columns = 1 AND cardinality(i.columns) = 1 AND i.first_column > 0
        AND NOT i.is_unique AND NOT i.is_constraint AND NOT i.is_marked AND i.is_valid AND NOT i.is_partition AND NOT i.is_partitioned
        AND i.predicate IS NULL AND i.scans > 0 AND w.width >= {min_width}
        -- Few values in a hash index are long chains of pages.
        AND (w.distinct_values < -0.1 OR w.distinct_values > 100000)
        AND EXISTS (SELECT 1 FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
                    WHERE m.amname = 'hash' AND o.opcdefault AND o.opcintype = (SELECT b.opcintype FROM pg_opclass b WHERE b.oid = i.first_class))) f
WHERE f.statements > 0 AND f.ordered = 0
ORDER BY f.bytes DESC, f.object
