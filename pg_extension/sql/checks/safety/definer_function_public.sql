-- title: Function that lends everybody its owner's rights
-- looked at: SELECT count(*) || ' functions' FROM pg_proc WHERE prosecdef
SELECT CASE WHEN o.rolsuper THEN 'warn' ELSE 'info' END AS severity,
       format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS object,
       format('SECURITY DEFINER, everybody may call it, and it runs as %s%s', quote_ident(o.rolname), CASE WHEN o.rolsuper THEN ', a superuser' ELSE '' END) AS detail,
       jsonb_build_object('owner', o.rolname, 'superuser', o.rolsuper, 'language', l.lanname) AS evidence,
       format('REVOKE EXECUTE ON FUNCTION %I.%I(%s) FROM PUBLIC', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_roles o ON o.oid = p.proowner
JOIN pg_language l ON l.oid = p.prolang
WHERE p.prosecdef AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
  AND n.nspname <> 'information_schema' AND n.nspname <> 'pitcrew' AND left(n.nspname, 3) <> 'pg_'
  AND EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g WHERE g.grantee = 0 AND g.privilege_type = 'EXECUTE')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY o.rolsuper DESC, 2
