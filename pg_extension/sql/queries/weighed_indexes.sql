-- The largest $1 valid indexes of tables that are not the system's: what they are, whether queries alone need them, how they are
-- used, and whether their keys are plain columns. Those of tables that somebody has, or waits for, to himself are left out: to tell what they are
-- their table is locked.
WITH locked AS MATERIALIZED (
    SELECT l.relation FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
)
SELECT i.indexrelid,
       i.indrelid,
       n.nspname::text,
       c.relname::text,
       a.amname::text,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) || ' ' || concat_ws(' ', i.indclass[k - 1], i.indcollation[k - 1], i.indoption[k - 1])
             FROM generate_series(1, i.indnkeyatts::int) k ORDER BY k),
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) FROM generate_series(i.indnkeyatts + 1, i.indnatts::int) k ORDER BY k),
       pg_get_expr(i.indpred, i.indrelid),
       i.indkey::int2[],
       i.indisunique,
       NOT (i.indisreplident OR i.indisclustered OR i.indisexclusion OR i.indisprimary OR c.relkind = 'I' OR c.relispartition
            OR EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
            -- It enforces more than another one on the same keys: NULLs are equal, or it does not wait for COMMIT.
            OR i.indisunique AND (i.indnullsnotdistinct OR EXISTS (SELECT 1 FROM pg_index u WHERE u.indrelid = i.indrelid AND u.indisunique AND NOT u.indimmediate))
            OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.deptype = 'e')),
       -- Nothing is told of what is not counted.
       CASE WHEN current_setting('track_counts')::boolean THEN coalesce(pg_stat_get_numscans(i.indexrelid), 0) ELSE -1 END,
       c.relpages::bigint * current_setting('block_size')::bigint,
       i.indexprs IS NULL AND 0 = ALL (i.indoption::int2[])
           AND NOT EXISTS (SELECT 1 FROM pg_opclass o WHERE o.oid = ANY (i.indclass::oid[]) AND NOT o.opcdefault)
           AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey::int2[], i.indcollation::oid[]) k (number, sorted_by)
                           JOIN pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = k.number
                           WHERE k.sorted_by <> t.attcollation)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_am a ON a.oid = c.relam
WHERE i.indisvalid AND t.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pitcrew', 'pg_toast')
  AND i.indrelid NOT IN (SELECT l.relation FROM locked l)
ORDER BY c.relpages DESC, i.indexrelid
LIMIT $1
