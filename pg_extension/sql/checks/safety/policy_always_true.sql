-- title: Policy that lets everything be written
-- uses: relations
-- looked at: SELECT count(*) || ' policies for writing' FROM pg_policy p JOIN relations r ON r.oid = p.polrelid WHERE p.polcmd <> 'r'
SELECT 'warn' AS severity, format('policy %I on %s', f.polname, f.object) AS object,
       format('%s is always true for %s by %s: row security holds nobody back there', f.clauses, f.command, f.roles) AS detail,
       jsonb_build_object('clauses', f.clauses, 'command', f.command, 'roles', f.roles) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT p.polname, r.object, concat_ws(' and ', CASE WHEN x.used = 'true' AND p.polcmd <> 'a' THEN 'USING' END, CASE WHEN x.checked = 'true' THEN 'WITH CHECK' END) AS clauses,
             CASE p.polcmd WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'every command' END AS command,
             (SELECT string_agg(CASE o.oid WHEN 0 THEN 'PUBLIC' ELSE o.oid::regrole::text END, ', ' ORDER BY o.oid::regrole::text) FROM unnest(p.polroles) o (oid)) AS roles
      FROM relations r
      JOIN pg_policy p ON p.polrelid = r.oid
      CROSS JOIN LATERAL (SELECT pg_get_expr(p.polqual, p.polrelid) AS used, pg_get_expr(p.polwithcheck, p.polrelid) AS checked) x
      -- Others may be read by everybody; where row security is off, policy_without_row_security says so.
      WHERE p.polpermissive AND p.polcmd <> 'r' AND r.has_row_security AND 'true' IN (x.used, x.checked)) f
ORDER BY 2
