-- Extended statistics of table $1 over just the columns $2 (by number), which keep all of the kinds $3 (as stxkind has them).
SELECT s.oid
FROM pg_statistic_ext s
WHERE s.stxrelid = $1 AND s.stxexprs IS NULL AND s.stxkeys::int2[] @> $2 AND s.stxkeys::int2[] <@ $2 AND s.stxkind::text[] @> $3
LIMIT 1
