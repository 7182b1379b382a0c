-- title: Column of a type that stops pg_upgrade
-- uses: relations
-- looked at: SELECT count(*) || ' tables' FROM relations
WITH RECURSIVE
-- A type may lie inside others: a domain's, an array's, a range's, a composite's. From the few that matter outwards.
outer_types (own, part) AS MATERIALIZED (
    SELECT d.oid, d.typbasetype FROM pg_type d WHERE d.typtype = 'd'
    UNION ALL SELECT d.oid, d.typelem FROM pg_type d WHERE d.typelem <> 0 AND d.typcategory = 'A'
    UNION ALL SELECT d.rngtypid, d.rngsubtype FROM pg_range d
    UNION ALL SELECT k.reltype, m.atttypid FROM pg_class k JOIN pg_attribute m ON m.attrelid = k.oid AND m.attnum > 0 AND NOT m.attisdropped
              WHERE k.relkind = 'c'),
holding (own, part) AS (
    SELECT p.oid, p.typname::text
    FROM pg_type p
    -- regclass, regrole and regtype are carried over. PostgreSQL 16 changed what an aclitem is.
    WHERE p.typnamespace = 'pg_catalog'::regnamespace
      AND (p.typname IN ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure')
           OR p.typname = 'aclitem' AND current_setting('server_version_num')::int < 160000)
    UNION
    SELECT o.own, h.part FROM holding h JOIN outer_types o ON o.part = h.own),
-- Few columns are of such a type: found before their tables, not among all columns of all tables.
held AS MATERIALIZED (
    SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, t.part
    FROM (SELECT h.own, min(h.part) AS part FROM holding h GROUP BY h.own) t
    JOIN pg_attribute a ON a.atttypid = t.own AND a.attnum > 0 AND NOT a.attisdropped)
SELECT 'warn' AS severity, r.object || '.' || quote_ident(h.attname) AS object,
       format('its type %s holds %s, a number of this server''s catalogue that the next one does not keep: pg_upgrade refuses the whole server', format_type(h.atttypid, h.atttypmod), h.part) AS detail,
       jsonb_build_object('type', format_type(h.atttypid, h.atttypmod), 'holds', h.part) AS evidence,
       CASE WHEN r.kind <> 'm' AND NOT r.is_partition THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE text', r.object, h.attname) END AS fix_sql,
       NULL AS fix_job, CASE WHEN r.kind <> 'm' AND NOT r.is_partition THEN 'low' END AS confidence
FROM held h
JOIN relations r ON r.oid = h.attrelid
ORDER BY 2
