-- title: Constraint that old rows may break
-- uses: relations
-- looked at: SELECT (SELECT count(*) FROM pg_constraint k JOIN relations r ON r.oid = k.conrelid WHERE k.contype IN ('c', 'f', 'n')) || ' constraints of tables and ' || (SELECT count(*) FROM pg_constraint k WHERE k.contypid <> 0) || ' of domains'
SELECT 'warn' AS severity,
       r.object || '.' || quote_ident(k.conname) AS object,
       format('not validated: rows older than the %s were never checked; the planner does not rely on it',
              CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'NOT NULL constraint' ELSE 'CHECK constraint' END) AS detail,
       jsonb_build_object('table', r.object, 'constraint', k.conname, 'rows', r.tuples) AS evidence,
       format('ALTER TABLE %s VALIDATE CONSTRAINT %s', r.object, quote_ident(k.conname)) AS fix_sql,
       NULL AS fix_job,
       'high' AS confidence
FROM relations r
JOIN pg_constraint k ON k.conrelid = r.oid
-- From 18 on NOT NULL is a constraint too, and may be not validated.
WHERE k.contype IN ('c', 'f', 'n') AND NOT k.convalidated
  -- From 18 on there are some that nobody enforces.
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
UNION ALL
SELECT 'warn',
       quote_ident(n.nspname) || '.' || quote_ident(t.typname) || '.' || quote_ident(k.conname),
       'not validated: values of the domain that are older than the CHECK constraint were never checked',
       jsonb_build_object('domain', quote_ident(n.nspname) || '.' || quote_ident(t.typname), 'constraint', k.conname),
       format('ALTER DOMAIN %I.%I VALIDATE CONSTRAINT %I', n.nspname, t.typname, k.conname),
       NULL,
       'high'
FROM pg_constraint k
JOIN pg_type t ON t.oid = k.contypid
JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE NOT k.convalidated
  AND n.nspname <> 'information_schema' AND n.nspname <> 'pitcrew' AND left(n.nspname, 3) <> 'pg_'
ORDER BY 2
