-- The extension's owner; no row where somebody else could have code run by a write to its tables.
SELECT e.extowner
FROM pg_extension e
WHERE e.extname = 'pg_pitcrew'
  AND NOT EXISTS (
      SELECT 1 FROM pg_class c
      WHERE c.oid IN ('pitcrew.advice'::regclass, 'pitcrew.history_state'::regclass)
        AND (c.relowner <> e.extowner
             OR EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid)
             OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid)))
