-- title: Table without autovacuum
-- uses: relations
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'warn' AS severity,
       r.object,
       format('autovacuum is switched off for it; %s dead rows, last vacuum: %s', r.dead_rows, coalesce(r.last_vacuum::text, 'never')) AS detail,
       jsonb_build_object('options', r.options, 'dead_rows', r.dead_rows, 'last_vacuum', r.last_vacuum) AS evidence,
       format('ALTER TABLE %s RESET (autovacuum_enabled)', r.object) AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM relations r
WHERE r.kind IN ('r', 'm')
  AND EXISTS (SELECT 1 FROM unnest(r.options) o (text)
              WHERE o.text LIKE 'autovacuum\_enabled=%' AND NOT split_part(o.text, '=', 2)::boolean)
ORDER BY r.dead_rows DESC, r.object
