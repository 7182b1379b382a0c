-- title: Foreign key of another type than its target
-- uses: relations
-- looked at: SELECT count(*) || ' foreign keys' FROM pg_constraint k JOIN relations r ON r.oid = k.conrelid WHERE k.contype = 'f'
SELECT 'info' AS severity,
       r.object || '.' || quote_ident(k.conname) AS object,
       format('compares %s with %s: values of the wider type never fit, and joins convert each row', c.own, c.target) AS detail,
       jsonb_build_object('table', r.object, 'target', k.confrelid::regclass::text, 'columns', c.own, 'target_columns', c.target) AS evidence,
       CASE WHEN c.many = 1 AND c.widens AND NOT r.is_partition THEN c.fix END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM relations r
-- The operator that compares both sides is not the target's own.
JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f' AND k.conpfeqop <> k.conppeqop AND k.conparentid = 0
CROSS JOIN LATERAL (
    SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY u.place) AS own,
           string_agg(format('%I %s', b.attname, format_type(b.atttypid, b.atttypmod)), ', ' ORDER BY u.place) AS target,
           min(format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', r.object, a.attname, format_type(b.atttypid, b.atttypmod))) AS fix, count(*) AS many,
           bool_and(a.attlen BETWEEN 0 AND b.attlen OR b.attlen = -1) AS widens
    FROM unnest(k.conkey, k.confkey) WITH ORDINALITY u (own, target, place)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own
    JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.target) c
ORDER BY 2
