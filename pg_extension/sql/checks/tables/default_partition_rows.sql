-- title: Rows that no partition wanted
-- uses: relations
-- looked at: SELECT count(*) || ' partitioned tables' FROM relations WHERE kind = 'p'
SELECT 'warn' AS severity, r.object,
       format('about %s rows lie in the default partition of %s: a new partition for them waits for a scan of it, and pruning never skips it', round(greatest(r.tuples, r.live_rows)), p.object) AS detail,
       jsonb_build_object('rows', greatest(r.tuples, r.live_rows), 'table', p.object) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pg_partitioned_table t
JOIN relations p ON p.oid = t.partrelid
JOIN relations r ON r.oid = t.partdefid
WHERE greatest(r.tuples, r.live_rows) > 0
ORDER BY greatest(r.tuples, r.live_rows) DESC, r.object
