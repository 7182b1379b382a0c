-- title: Policy that is not in force
-- uses: relations
-- looked at: SELECT count(*) || ' policies' FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
SELECT 'critical' AS severity, r.object,
       format('has %s, and row security is off: everybody who may read the table sees all rows', CASE count(*) WHEN 1 THEN '1 policy' ELSE count(*) || ' policies' END) AS detail,
       jsonb_build_object('policies', jsonb_agg(p.polname ORDER BY p.polname)) AS evidence,
       format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.object) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM relations r
JOIN pg_policy p ON p.polrelid = r.oid
WHERE NOT r.has_row_security
GROUP BY r.object
ORDER BY 2
