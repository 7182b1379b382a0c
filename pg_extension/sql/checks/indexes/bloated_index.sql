-- title: Index that is mostly free space
-- uses: relations, indexes, columns
-- needs: column statistics
-- default: min_bytes = 10485760
-- default: min_percent = 50
-- looked at: SELECT count(*) || ' B-tree indexes on plain columns' FROM indexes WHERE method = 'btree' AND expressions IS NULL
SELECT 'info' AS severity, f.object,
       format('about %s of %s (%s %%) hold no entries, estimated from row counts and column widths', pg_size_pretty((f.bytes - f.needed)::bigint), pg_size_pretty(f.bytes),
              round((100 * (1 - f.needed / f.bytes))::numeric)) AS detail,
       jsonb_build_object('bytes', f.bytes, 'needed', round(f.needed), 'entries', f.tuples, 'entry_bytes', f.entry_bytes) AS evidence,
       format('REINDEX INDEX CONCURRENTLY %s', f.object) AS fix_sql,
       jsonb_build_object('kind', 'reindex', 'target', f.object, 'options', jsonb_build_object()) AS fix_job,
       'medium' AS confidence
FROM (SELECT i.object, i.bytes, i.tuples, w.entry_bytes,
             (1 + ceil(i.tuples / floor((current_setting('block_size')::int - 40) * coalesce(
                 (SELECT o.option_value::float8 FROM pg_options_to_table(i.options) o WHERE o.option_name = 'fillfactor'), 90) / 100 / w.entry_bytes)))
                 * current_setting('block_size')::int AS needed
      FROM indexes i
      -- An entry: line pointer, header, the columns, padded to 8 bytes. Equal keys may share one, so the need is the most there can be.
      CROSS JOIN LATERAL (SELECT 4 + 8 + 8 * ceil(sum((1 - c.null_share) * c.width) / 8) AS entry_bytes, count(*) AS known
                          FROM columns c WHERE c.table_oid = i.table_oid AND c.number = ANY (i.columns)) w
      WHERE i.method = 'btree' AND i.expressions IS NULL AND i.is_valid AND NOT i.is_partitioned AND i.bytes >= {min_bytes}
        AND w.known = cardinality(i.columns)) f
WHERE 100 * (1 - f.needed / nullif(f.bytes, 0)) >= {min_percent}
ORDER BY f.bytes - f.needed DESC, f.object
