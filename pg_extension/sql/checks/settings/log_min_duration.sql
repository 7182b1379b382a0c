-- title: No slow statement is in the log
-- looked at: SELECT 'log_min_duration_statement = ' || current_setting('log_min_duration_statement') || ', log_min_duration_sample = ' || current_setting('log_min_duration_sample')
SELECT 'info' AS severity, s.name AS object,
       'log_min_duration_statement and log_min_duration_sample are -1, and auto_explain logs nothing: which statement was slow at night, with which values, nobody can read afterwards' AS detail,
       jsonb_build_object('setting', s.setting, 'source', s.source) AS evidence,
       E'ALTER SYSTEM SET log_min_duration_statement = ''1s'';\nSELECT pg_reload_conf()' AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_settings s
WHERE s.name = 'log_min_duration_statement' AND s.setting = '-1' AND current_setting('log_min_duration_sample') = '-1'
  AND coalesce(current_setting('auto_explain.log_min_duration', true), '-1') IN ('-1', '')
