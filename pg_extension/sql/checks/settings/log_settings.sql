-- title: What the log will not tell afterwards
-- looked at: SELECT count(*) || ' settings' FROM pg_settings WHERE name IN ('log_lock_waits', 'log_checkpoints', 'log_temp_files', 'log_autovacuum_min_duration')
SELECT 'info' AS severity, f.name AS object,
       format('%s is off: %s are not in the log', f.name, f.lost) AS detail,
       jsonb_build_object('setting', s.setting, 'source', s.source) AS evidence,
       format(E'ALTER SYSTEM SET %s = %L;\nSELECT pg_reload_conf()', f.name, f.wanted) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (VALUES ('log_lock_waits', 'waits for a lock beyond deadlock_timeout', 'off', 'on'),
             ('log_checkpoints', 'checkpoints and what they wrote', 'off', 'on'),
             ('log_temp_files', 'statements that spill to disk', '-1', '10240'),
             ('log_autovacuum_min_duration', 'runs of autovacuum', '-1', '600000')) f (name, lost, off, wanted)
JOIN pg_settings s ON s.name = f.name
WHERE s.setting = f.off ORDER BY 2
