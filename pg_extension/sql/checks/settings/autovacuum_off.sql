-- title: Autovacuum does not run
-- looked at: SELECT count(*) || ' settings' FROM pg_settings WHERE name = 'autovacuum'
SELECT 'critical' AS severity, s.name AS object,
       format('autovacuum is off: dead rows pile up and statistics grow old in every table until somebody runs VACUUM; only wraparound still starts it') AS detail,
       jsonb_build_object('setting', s.setting, 'source', s.source) AS evidence,
       E'ALTER SYSTEM SET autovacuum = on;\nSELECT pg_reload_conf()' AS fix_sql,
       NULL AS fix_job, 'high' AS confidence
FROM pg_settings s WHERE s.name = 'autovacuum' AND s.setting = 'off'
