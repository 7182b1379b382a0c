-- title: SECURITY DEFINER function without a search_path
-- looked at: SELECT count(*) || ' SECURITY DEFINER functions' FROM pg_proc WHERE prosecdef
SELECT CASE WHEN r.rolsuper THEN 'critical' ELSE 'warn' END AS severity,
       f.object,
       format('runs as %s with the caller''s search_path: whoever calls it chooses which tables and functions it means', quote_ident(r.rolname)) AS detail,
       jsonb_build_object('function', f.object, 'owner', r.rolname, 'is_superuser', r.rolsuper) AS evidence,
       format('ALTER ROUTINE %s SET search_path = %s, pg_temp', f.object, quote_ident(n.nspname)) AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_roles r ON r.oid = p.proowner
CROSS JOIN LATERAL (SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS object) f
WHERE p.prosecdef AND left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) c (setting) WHERE c.setting LIKE 'search\_path=%')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2
