-- Tables of users with more dead rows than start autovacuum there, which the current role may maintain; worst first, at
-- most $1. Reads the collection `relations`, which knows the thresholds.
SELECT r.oid
FROM relations r
WHERE r.kind IN ('r', 'm')
  AND (pg_has_role(current_user, r.owner, 'USAGE')
       OR pg_has_role(current_user, (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()), 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(r.oid, 'MAINTAIN') END)
  AND r.dead_rows > r.vacuum_due
ORDER BY r.dead_rows DESC, r.oid
LIMIT $1
