-- title: Superuser beside the first one
-- looked at: SELECT count(*) || ' superusers' FROM pg_roles WHERE rolsuper
SELECT 'info' AS severity, quote_ident(r.rolname) AS object,
       'may log in and is a superuser: no right is checked for it, and it can run programs as the server''s account' AS detail,
       jsonb_build_object('role', r.rolname, 'valid_until', r.rolvaliduntil) AS evidence,
       format('ALTER ROLE %I NOSUPERUSER', r.rolname) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM pg_roles r
-- The bootstrap superuser has to be one.
WHERE r.rolsuper AND r.rolcanlogin AND r.oid <> 10
ORDER BY 2
