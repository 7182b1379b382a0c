-- Tables with the oldest unfrozen transaction ids, which the current role may maintain; oldest first, at most $1. Those
-- younger than vacuum_freeze_min_age have nothing to gain.
SELECT c.oid
FROM pg_class c
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relfrozenxid <> '0'::xid
  AND (pg_has_role(current_user, c.relowner, 'USAGE')
       OR pg_has_role(current_user, (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()), 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') END)
  AND age(c.relfrozenxid) > current_setting('vacuum_freeze_min_age')::bigint
ORDER BY age(c.relfrozenxid) DESC, c.oid
LIMIT $1
