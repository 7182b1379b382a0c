-- title: Schema in which everybody may create objects
-- looked at: SELECT count(*) || ' schemas' FROM pg_namespace WHERE left(nspname, 3) <> 'pg_'
SELECT 'warn' AS severity,
       quote_ident(n.nspname) AS object,
       format('PUBLIC may create functions and tables in schema %s, which others then call by a search_path (CVE-2018-1058)', quote_ident(n.nspname)) AS detail,
       jsonb_build_object('schema', n.nspname, 'owner', n.nspowner::regrole::text) AS evidence,
       format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC', quote_ident(n.nspname)) AS fix_sql,
       NULL AS fix_job,
       'high' AS confidence
FROM pg_namespace n
WHERE left(n.nspname, 3) <> 'pg_'
  AND EXISTS (SELECT 1 FROM aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE')
ORDER BY 2
