-- title: View that shows rows past row security
-- uses: relations
-- looked at: SELECT count(*) || ' tables with row security' FROM relations WHERE has_row_security
SELECT 'warn' AS severity, f.object,
       format('reads %s with the rights of the view''s owner %s, whom the policies may not bind', f.tables, f.owner) AS detail,
       jsonb_build_object('tables', f.tables, 'owner', f.owner) AS evidence,
       format('ALTER VIEW %s SET (security_invoker = true)', f.object) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM (SELECT format('%I.%I', n.nspname, v.relname) AS object, v.relowner::regrole::text AS owner, string_agg(DISTINCT r.object, ', ' ORDER BY r.object) AS tables
      FROM relations r
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite w ON w.oid = d.objid
      JOIN pg_class v ON v.oid = w.ev_class AND v.relkind = 'v'
      JOIN pg_namespace n ON n.oid = v.relnamespace
      WHERE r.has_row_security
        AND NOT EXISTS (SELECT 1 FROM unnest(v.reloptions) o (text) WHERE o.text ~* '^security_invoker=(t|tr|tru|true|on|1|y|ye|yes)$')
      GROUP BY 1, 2) f
ORDER BY 2
