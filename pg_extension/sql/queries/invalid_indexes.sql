-- Invalid indexes that the current role may maintain, at most $1. Not what a REINDEX CONCURRENTLY left (_ccnew, _ccold):
-- those are dropped, not built, and nothing here drops what it did not make; not what a build that runs now works on.
SELECT c.oid
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid AND t.relkind IN ('r', 'm')
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relpersistence <> 't'
  AND c.relname !~ '_cc(new|old)[0-9]*$'
  AND (pg_has_role(current_user, t.relowner, 'USAGE')
       OR pg_has_role(current_user, (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()), 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(t.oid, 'MAINTAIN') END)
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
ORDER BY c.oid
LIMIT $1
