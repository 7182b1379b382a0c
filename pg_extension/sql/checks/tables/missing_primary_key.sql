-- title: Table without a primary key
-- uses: relations, indexes
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'p') AND NOT is_partition
SELECT 'warn' AS severity,
       r.object,
       format('%s rows, no primary key%s', round(r.tuples),
              CASE WHEN u.object IS NULL THEN ' and no unique index that could become it'
                   ELSE '; the unique index ' || u.object || ' can become it' END) AS detail,
       jsonb_build_object('rows', r.tuples, 'unique_index', u.object) AS evidence,
       CASE WHEN u.object IS NOT NULL
            THEN format('ALTER TABLE %s ADD PRIMARY KEY USING INDEX %s', r.object, quote_ident(u.name)) END AS fix_sql,
       NULL AS fix_job,
       CASE WHEN u.object IS NULL THEN 'low' ELSE 'high' END AS confidence
FROM relations r
LEFT JOIN (
    SELECT DISTINCT ON (i.table_oid) i.table_oid, i.object, i.name
    FROM indexes i
    WHERE i.is_unique AND i.is_valid AND NOT i.is_constraint AND i.method = 'btree'
      AND i.predicate IS NULL AND i.expressions IS NULL AND 0 = ALL (i.directions) AND NOT i.nulls_not_distinct
      -- A key sorts as its columns do.
      AND NOT EXISTS (SELECT 1 FROM pg_opclass o WHERE o.oid = ANY (i.classes) AND NOT o.opcdefault)
      AND NOT EXISTS (SELECT 1 FROM unnest(i.columns[0 : i.key_columns - 1], i.collations) k (number, sorted_by)
                      JOIN pg_attribute a ON a.attrelid = i.table_oid AND a.attnum = k.number WHERE k.sorted_by <> a.attcollation)
      AND NOT EXISTS (SELECT 1 FROM pg_attribute a
                      WHERE a.attrelid = i.table_oid AND NOT a.attnotnull AND a.attnum = ANY (i.columns))
      -- From 18 on a column may be NOT NULL for new rows alone.
      AND NOT EXISTS (SELECT 1 FROM pg_constraint k
                      WHERE k.conrelid = i.table_oid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey && i.columns)
    ORDER BY i.table_oid, i.key_columns, i.name) u ON u.table_oid = r.oid AND r.kind = 'r'
WHERE r.kind IN ('r', 'p') AND NOT r.is_partition
  AND NOT EXISTS (SELECT 1 FROM indexes p WHERE p.table_oid = r.oid AND p.is_primary)
ORDER BY r.tuples DESC, r.object
