-- title: Published table whose rows cannot be told apart
-- uses: relations, indexes
-- needs: primary
-- looked at: SELECT count(DISTINCT (schemaname, tablename)) || ' published tables' FROM pg_publication_tables
SELECT 'warn' AS severity, r.object,
       format('it is published with UPDATE or DELETE and has no primary key or replica identity: those fail on it with SQLSTATE 55000') AS detail,
       jsonb_build_object('publications', f.publications) AS evidence,
       format('ALTER TABLE %s REPLICA IDENTITY FULL', r.object) AS fix_sql, NULL AS fix_job, 'medium' AS confidence
FROM (SELECT p.schemaname, p.tablename, jsonb_agg(p.pubname ORDER BY p.pubname) AS publications
      FROM pg_publication_tables p JOIN pg_publication u ON u.pubname = p.pubname AND (u.pubupdate OR u.pubdelete)
      GROUP BY 1, 2) f
JOIN relations r ON r.schema_name = f.schemaname::text AND r.name = f.tablename::text
JOIN pg_class c ON c.oid = r.oid
WHERE c.relreplident = 'n' AND r.kind = 'r'
   OR c.relreplident = 'd' AND r.kind = 'r' AND NOT EXISTS (SELECT 1 FROM indexes i WHERE i.table_oid = r.oid AND i.is_primary AND i.is_valid)
ORDER BY r.object
