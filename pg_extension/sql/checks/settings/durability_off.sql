-- title: A crash may destroy data
-- looked at: SELECT count(*) || ' settings' FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')
SELECT 'critical' AS severity, s.name AS object,
       format('%s is off: %s', s.name, CASE s.name WHEN 'fsync' THEN 'after a crash of the machine the whole cluster may be unusable'
                                                   ELSE 'a page that was half written when the machine crashed stays broken' END) AS detail,
       jsonb_build_object('setting', s.setting, 'source', s.source) AS evidence,
       format(E'ALTER SYSTEM SET %s = on;\nSELECT pg_reload_conf()', s.name) AS fix_sql,
       NULL AS fix_job, 'high' AS confidence
FROM pg_settings s WHERE s.name IN ('fsync', 'full_page_writes') AND s.setting = 'off' ORDER BY 2
