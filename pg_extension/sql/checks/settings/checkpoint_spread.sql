-- title: Checkpoints write in a hurry
-- looked at: SELECT 'checkpoint_completion_target = ' || current_setting('checkpoint_completion_target') || ', checkpoint_timeout = ' || current_setting('checkpoint_timeout')
SELECT 'info' AS severity, f.name AS object,
       CASE f.name WHEN 'checkpoint_timeout' THEN format('checkpoint_timeout is %s: each checkpoint makes the first change of every page write the whole page to WAL', current_setting(f.name))
                   ELSE format('checkpoint_completion_target is %s: a checkpoint''s writes come in a part of the time that there is', f.setting) END AS detail,
       jsonb_build_object(f.name, f.setting) AS evidence,
       format(E'ALTER SYSTEM SET %I = %s;\nSELECT pg_reload_conf()', f.name, CASE f.name WHEN 'checkpoint_timeout' THEN '''15min''' ELSE '0.9' END) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_settings f
WHERE f.name = 'checkpoint_timeout' AND f.setting::int < 300 OR f.name = 'checkpoint_completion_target' AND f.setting::float8 < 0.8
ORDER BY f.name
