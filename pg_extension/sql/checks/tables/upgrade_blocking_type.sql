-- title: Column of a type that stops pg_upgrade
-- uses: relations
-- looked at: SELECT count(*) || ' tables' FROM relations
SELECT 'warn' AS severity, r.object || '.' || quote_ident(a.attname) AS object,
       format('its type %s holds %s, a number of this server''s catalogue that the next one does not keep: pg_upgrade refuses the whole server', format_type(a.atttypid, a.atttypmod), t.part) AS detail,
       jsonb_build_object('type', format_type(a.atttypid, a.atttypmod), 'holds', t.part) AS evidence,
       CASE WHEN r.kind <> 'm' AND NOT r.is_partition THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE text', r.object, a.attname) END AS fix_sql,
       NULL AS fix_job, CASE WHEN r.kind <> 'm' AND NOT r.is_partition THEN 'low' END AS confidence
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
-- A type may lie inside others: a domain's, an array's, a range's, a composite's.
JOIN (WITH RECURSIVE inside (own, part) AS (
          SELECT DISTINCT c.atttypid, c.atttypid FROM relations o JOIN pg_attribute c ON c.attrelid = o.oid AND c.attnum > 0 AND NOT c.attisdropped
          UNION
          SELECT i.own, p.part
          FROM inside i
          JOIN (SELECT d.oid, d.typbasetype FROM pg_type d WHERE d.typtype = 'd'
                UNION ALL SELECT d.oid, d.typelem FROM pg_type d WHERE d.typelem <> 0 AND d.typcategory = 'A'
                UNION ALL SELECT d.rngtypid, d.rngsubtype FROM pg_range d
                UNION ALL SELECT k.reltype, m.atttypid FROM pg_class k JOIN pg_attribute m ON m.attrelid = k.oid AND m.attnum > 0 AND NOT m.attisdropped
                          WHERE k.relkind = 'c') p (oid, part) ON p.oid = i.part)
      SELECT i.own, min(p.typname::text) AS part
      FROM inside i JOIN pg_type p ON p.oid = i.part AND p.typnamespace = 'pg_catalog'::regnamespace
      -- regclass, regrole and regtype are carried over. PostgreSQL 16 changed what an aclitem is.
      WHERE p.typname IN ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure')
         OR p.typname = 'aclitem' AND current_setting('server_version_num')::int < 160000
      GROUP BY i.own) t ON t.own = a.atttypid
ORDER BY 2
