-- title: Extension in a schema that everybody sees
-- looked at: SELECT count(*) || ' extensions' FROM pg_extension
SELECT 'info' AS severity, quote_ident(e.extname) AS object,
       'its functions and types lie in schema public, among those of users: a name of theirs may hide one of its own' AS detail,
       jsonb_build_object('version', e.extversion, 'relocatable', e.extrelocatable) AS evidence,
       CASE WHEN e.extrelocatable THEN format(E'CREATE SCHEMA IF NOT EXISTS extensions;\nALTER EXTENSION %I SET SCHEMA extensions', e.extname) END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname = 'public' ORDER BY 2
