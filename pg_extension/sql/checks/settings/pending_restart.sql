-- title: Setting that waits for a restart
-- looked at: SELECT count(*) || ' settings' FROM pg_settings
SELECT 'warn' AS severity, s.name AS object,
       format('changed in %s, but in force is still %s until the server restarts', coalesce(s.sourcefile, 'a file'), coalesce(nullif(s.setting, ''), 'nothing')) AS detail,
       jsonb_build_object('setting', s.setting, 'file', s.sourcefile) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, 'high' AS confidence
FROM pg_settings s WHERE s.pending_restart ORDER BY 2
