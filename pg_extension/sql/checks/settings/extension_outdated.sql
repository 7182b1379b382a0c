-- title: Extension older than its installed files
-- looked at: SELECT count(*) || ' extensions' FROM pg_extension
SELECT 'info' AS severity, quote_ident(e.extname) AS object,
       format('version %s is in use, and version %s is installed on the machine', e.extversion, a.default_version) AS detail,
       jsonb_build_object('version', e.extversion, 'installed', a.default_version) AS evidence,
       format('ALTER EXTENSION %I UPDATE', e.extname) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname
WHERE a.default_version <> e.extversion ORDER BY 2
