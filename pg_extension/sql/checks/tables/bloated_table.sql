-- title: Table that is mostly free space
-- uses: relations, columns
-- needs: column statistics
-- default: min_bytes = 10485760
-- default: min_percent = 50
-- looked at: SELECT count(*) || ' analyzed tables' FROM relations WHERE kind IN ('r', 'm') AND NOT is_unknown
SELECT 'info' AS severity, f.object,
       format('about %s of %s (%s %%) hold no rows, estimated from row counts and column widths', pg_size_pretty((f.bytes - f.needed)::bigint), pg_size_pretty(f.bytes),
              round((100 * (1 - f.needed / f.bytes))::numeric)) AS detail,
       jsonb_build_object('bytes', f.bytes, 'needed', round(f.needed), 'rows', f.tuples, 'row_bytes', f.row_bytes) AS evidence,
       format('VACUUM (FULL, ANALYZE) %s', f.object) AS fix_sql,
       jsonb_build_object('kind', 'vacuum', 'target', f.object, 'options', jsonb_build_object('full', true, 'analyze', true)) AS fix_job,
       -- It locks the table for as long as it copies it.
       'low' AS confidence
FROM (SELECT r.object, r.bytes, r.tuples, w.row_bytes,
             ceil(r.tuples / greatest(floor((current_setting('block_size')::int - 24) * coalesce(
                 (SELECT o.option_value::float8 FROM pg_options_to_table(r.options) o WHERE o.option_name = 'fillfactor'), 100) / 100 / w.row_bytes), 1))
                 * current_setting('block_size')::int AS needed
      FROM relations r
      -- A row: line pointer, header with its bitmap of nulls, the columns, padded to 8 bytes.
      JOIN (SELECT c.table_oid, 4 + 32 + 8 * ceil(sum((1 - c.null_share) * c.width) / 8) AS row_bytes
            FROM columns c GROUP BY c.table_oid
            HAVING count(*) = (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.table_oid AND a.attnum > 0 AND NOT a.attisdropped)) w ON w.table_oid = r.oid
      WHERE r.kind IN ('r', 'm') AND NOT r.is_unknown AND r.bytes >= {min_bytes}) f
WHERE 100 * (1 - f.needed / nullif(f.bytes, 0)) >= {min_percent}
ORDER BY f.bytes - f.needed DESC, f.object
