-- title: Copy or foreign table that row security cannot protect
-- uses: relations
-- looked at: SELECT count(*) || ' tables with row security' FROM relations WHERE has_row_security
SELECT f.severity, f.object, format(f.what, f.roles) AS detail, jsonb_build_object('roles', f.roles, 'tables', f.tables) AS evidence,
       format('REVOKE SELECT ON %s FROM %s', f.object, f.roles) AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM (SELECT m.severity, m.object, m.tables, m.what,
             string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ') AS roles
      FROM (SELECT 'warn' AS severity, v.object, v.owner, v.acl, t.tables,
                   'holds rows of ' || replace(t.tables, '%', '%%') || ' as its owner sees them, and %s may read all of them: a materialized view has no row security' AS what
            FROM relations v
            JOIN (SELECT w.ev_class, string_agg(DISTINCT r.object, ', ' ORDER BY r.object) AS tables
                  FROM relations r
                  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.classid = 'pg_rewrite'::regclass
                  JOIN pg_rewrite w ON w.oid = d.objid
                  WHERE r.has_row_security GROUP BY w.ev_class) t ON t.ev_class = v.oid
            WHERE v.kind = 'm'
            UNION ALL
            SELECT 'info', format('%I.%I', n.nspname, c.relname), c.relowner, c.relacl, NULL,
                   'this database uses row security, and a foreign table has none: %s may read all that the foreign server shows'
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'f' AND EXISTS (SELECT 1 FROM relations r WHERE r.has_row_security)) m
      CROSS JOIN LATERAL aclexplode(m.acl) a
      WHERE m.acl IS NOT NULL AND a.privilege_type = 'SELECT' AND a.grantee <> m.owner
      GROUP BY m.severity, m.object, m.tables, m.what) f
ORDER BY f.severity DESC, 2
