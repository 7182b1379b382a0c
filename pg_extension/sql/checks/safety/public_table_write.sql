-- title: Table that everybody may change
-- uses: relations
-- looked at: SELECT count(*) || ' tables' FROM relations
SELECT 'warn' AS severity, f.object,
       format('PUBLIC may %s: every role that can log in', f.rights) AS detail,
       jsonb_build_object('rights', f.rights, 'owner', f.owner::regrole::text) AS evidence,
       format('REVOKE %s ON %s FROM PUBLIC', f.rights, f.object) AS fix_sql,
       NULL AS fix_job, 'high' AS confidence
FROM (SELECT r.object, r.owner, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS rights
      FROM relations r CROSS JOIN LATERAL aclexplode(r.acl) a
      WHERE r.acl IS NOT NULL AND a.grantee = 0 AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
      GROUP BY r.object, r.owner) f
ORDER BY 2
