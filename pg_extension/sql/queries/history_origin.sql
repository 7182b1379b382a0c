-- Where and when this is, as text that no setting changes, and the extension's owner; one row. No row where somebody else than the extension's owner
-- could have code run by a write to the history's tables.
SELECT pitcrew.job_origin(),
       to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
       coalesce((SELECT to_char(d.stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') FROM pg_stat_database d WHERE d.datname = current_database()), ''),
       e.extowner
FROM pg_extension e
WHERE e.extname = 'pg_pitcrew'
  AND NOT EXISTS (
      SELECT 1 FROM pg_class c
      WHERE c.relnamespace = 'pitcrew'::regnamespace AND c.relname LIKE 'history\_%' AND c.relkind <> 'i'
        AND (c.relowner <> e.extowner
             OR EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid)
             OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid AND c.relkind <> 'v')))
