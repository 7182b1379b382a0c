-- title: What the server does not count
-- looked at: SELECT count(*) || ' settings' FROM pg_settings WHERE name IN ('track_counts', 'track_activities', 'track_io_timing', 'compute_query_id')
SELECT CASE f.name WHEN 'track_counts' THEN 'critical' WHEN 'track_activities' THEN 'warn' ELSE 'info' END AS severity, f.name AS object,
       format('%s is off: %s', f.name, f.cost) AS detail,
       jsonb_build_object('setting', s.reset_val, 'source', s.source) AS evidence,
       format(E'ALTER SYSTEM SET %s = on;\nSELECT pg_reload_conf()', f.name) AS fix_sql,
       NULL AS fix_job, 'high' AS confidence
FROM (VALUES ('track_counts', 'autovacuum never runs, and most checks have nothing to read'),
             ('track_activities', 'nobody can see what sessions do'),
             ('track_io_timing', 'nobody can tell reading from computing'),
             ('compute_query_id', 'a running statement cannot be found among the statistics')) f (name, cost)
JOIN pg_settings s ON s.name = f.name
-- A report sets some for itself; what others have is the value to which it goes back.
WHERE s.reset_val = 'off' ORDER BY 2
