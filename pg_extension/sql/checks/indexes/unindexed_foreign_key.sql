-- title: Foreign key without an index on its own side
-- uses: relations, indexes
-- default: min_rows = 1000
-- looked at: SELECT count(*) || ' foreign keys' FROM pg_constraint k JOIN relations r ON r.oid = k.conrelid WHERE k.contype = 'f'
SELECT 'warn' AS severity,
       r.object || '.' || quote_ident(k.conname) AS object,
       format('a delete or a change of key in %s reads all %s rows of %s: no index begins with (%s)',
              k.confrelid::regclass, round(r.tuples), r.object, c.names) AS detail,
       jsonb_build_object('table', r.object, 'columns', c.list, 'rows', r.tuples) AS evidence,
       format('CREATE INDEX CONCURRENTLY ON %s (%s)', r.object, c.names) AS fix_sql,
       jsonb_build_object('kind', 'create_index', 'target', r.object, 'options', jsonb_build_object('columns', c.list)) AS fix_job,
       'medium' AS confidence
FROM pg_constraint k
JOIN relations r ON r.oid = k.conrelid AND r.kind = 'r'
CROSS JOIN LATERAL (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.place) AS names, jsonb_agg(a.attname ORDER BY u.place) AS list
    FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number) c
WHERE k.contype = 'f' AND r.tuples >= {min_rows}
  -- The key's columns in any order are the first columns of an index over all rows, or over those where one of them is not NULL: no other one
  -- refers to anything. BRIN tells ranges of pages apart, and is read whole for each value.
  AND NOT EXISTS (SELECT 1 FROM indexes i
                  WHERE i.table_oid = k.conrelid AND i.is_valid AND i.method <> 'brin'
                    AND (i.predicate IS NULL OR i.predicate IN (SELECT format('(%I IS NOT NULL)', a.attname) FROM pg_attribute a
                                                                WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)))
                    AND i.key_columns >= cardinality(k.conkey)
                    AND i.columns[0:cardinality(k.conkey) - 1] @> k.conkey)
ORDER BY r.tuples DESC, 2
