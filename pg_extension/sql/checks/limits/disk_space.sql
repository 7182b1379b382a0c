-- title: The disk is nearly full
-- needs: extension pg_pitcrew
-- default: min_percent = 85
-- default: critical_percent = 95
-- looked at: SELECT count(*) || ' directories' FROM pitcrew.disk_space()
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity, f.directory AS object,
       format('%s of %s are free there (%s %% used); this database has about %s of it', pg_size_pretty(f.free_bytes), pg_size_pretty(f.total_bytes), round(f.percent, 1),
              -- By the catalogue: asking the file system takes a call for each file.
              (SELECT pg_size_pretty(sum(c.relpages::bigint) * current_setting('block_size')::bigint) FROM pg_class c)) AS detail,
       jsonb_build_object('free_bytes', f.free_bytes, 'total_bytes', f.total_bytes) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT d.*, 100.0 * (d.total_bytes - d.free_bytes) / d.total_bytes AS percent FROM pitcrew.disk_space() d WHERE d.total_bytes > 0) f
WHERE f.percent >= {min_percent}
ORDER BY f.percent DESC, f.directory
