-- title: Row security without a policy
-- uses: relations
-- looked at: SELECT count(*) || ' tables with row security' FROM relations WHERE has_row_security
SELECT 'warn' AS severity, r.object,
       'row security is on and there is no policy: everybody but the owner sees no row' AS detail,
       jsonb_build_object('owner', r.owner::regrole::text) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM relations r
WHERE r.has_row_security AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = r.oid)
ORDER BY 2
