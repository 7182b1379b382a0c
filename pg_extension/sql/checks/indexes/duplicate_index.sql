-- title: Two indexes that are the same
-- uses: relations, indexes, rival_indexes
-- looked at: SELECT count(*) || ' indexes' FROM indexes
SELECT 'warn' AS severity,
       f.object,
       format('the same as %s: %s are written and kept twice', f.kept, pg_size_pretty(f.bytes)) AS detail,
       jsonb_build_object('same_as', f.kept, 'bytes', f.bytes, 'scans', f.scans) AS evidence,
       format('DROP INDEX CONCURRENTLY %s', f.object) AS fix_sql,
       NULL AS fix_job,
       'high' AS confidence
FROM (SELECT i.*,
             row_number() OVER w AS place,
             first_value(i.object) OVER w AS kept,
             first_value(i.is_unique AND i.is_immediate) OVER w AS kept_enforces
      FROM rival_indexes i
      WHERE i.is_valid AND NOT i.is_partition AND NOT i.is_partitioned
      -- A constraint's index stays, then a unique one, then the one that is used most.
      WINDOW w AS (PARTITION BY i.table_oid, i.method, i.columns, i.key_columns, i.classes, i.collations, i.directions,
                                i.expressions, i.predicate
                   ORDER BY i.is_constraint DESC, i.is_marked DESC, i.is_unique DESC, i.nulls_not_distinct DESC, i.scans DESC, i.name)) f
WHERE f.place > 1 AND NOT f.is_constraint AND NOT f.is_marked
  -- What enforces more than what stays is needed for that.
  AND (NOT f.is_unique OR f.kept_enforces AND NOT f.nulls_not_distinct)
ORDER BY f.bytes DESC, f.object
