-- title: Table that is mostly long values
-- uses: relations
-- default: min_bytes = 1073741824
-- default: min_times = 10
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'info' AS severity, r.object,
       format('%s of long values beside %s of rows: a query that selects them reads them one by one', pg_size_pretty(r.toast_bytes), pg_size_pretty(r.bytes)) AS detail,
       jsonb_build_object('toast_bytes', r.toast_bytes, 'bytes', r.bytes) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM relations r
WHERE r.toast_bytes >= {min_bytes} AND r.toast_bytes >= {min_times} * r.bytes
ORDER BY r.toast_bytes DESC, r.object
