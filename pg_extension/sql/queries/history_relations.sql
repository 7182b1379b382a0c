-- Tables and indexes that are others than at the last tick: object, OID, counters then and now, sizes, the event, and how
-- many there are in all. A relation that was renamed has counted under its old name. $1: most relations.
-- A new one whose table somebody has to himself is named at a later tick.
WITH locked AS MATERIALIZED (
    SELECT l.relation FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
),
now AS MATERIALIZED (
    SELECT c.oid, coalesce(i.indrelid, c.oid) AS held_by, (CASE c.relkind WHEN 'i' THEN 'i' ELSE 't' END)::"char" AS kind,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS key,
           coalesce(i.indisvalid, true) AS is_valid,
           ARRAY[pg_stat_get_numscans(c.oid), pg_stat_get_tuples_returned(c.oid), pg_stat_get_tuples_fetched(c.oid),
                 pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid),
                 pg_stat_get_tuples_hot_updated(c.oid), pg_stat_get_blocks_fetched(c.oid), pg_stat_get_blocks_hit(c.oid),
                 pg_stat_get_vacuum_count(c.oid) + pg_stat_get_autovacuum_count(c.oid),
                 pg_stat_get_analyze_count(c.oid) + pg_stat_get_autoanalyze_count(c.oid)] AS counters,
           count(*) OVER () AS found
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relkind IN ('r', 'm', 'i') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('information_schema', 'pitcrew') AND left(n.nspname, 3) <> 'pg_'
    ORDER BY c.relpages DESC, c.oid
    LIMIT $1
)
SELECT CASE WHEN o.gone_at IS NULL THEN o.id END, n.oid, coalesce(p.last, o.last), n.counters,
       pitcrew.history_bytes(n.oid), pg_stat_get_live_tuples(n.oid), pg_stat_get_dead_tuples(n.oid),
       CASE WHEN p.id IS NOT NULL THEN NULL
            WHEN o.id IS NULL OR o.gone_at IS NOT NULL THEN 'created'
            WHEN o.oid <> n.oid THEN 'recreated'
            WHEN o.is_valid AND NOT n.is_valid THEN 'invalid'
            WHEN n.is_valid AND NOT o.is_valid THEN 'valid' END,
       n.found
FROM now n
LEFT JOIN pitcrew.history_objects o ON o.kind = n.kind AND o.key = n.key
LEFT JOIN pitcrew.history_objects p ON p.kind = n.kind AND p.oid = n.oid AND p.id IS DISTINCT FROM o.id AND p.gone_at IS NULL
WHERE (o.id IS NULL OR o.gone_at IS NOT NULL OR p.id IS NOT NULL
       OR (o.oid, o.is_valid, o.last) IS DISTINCT FROM (n.oid, n.is_valid, n.counters))
  AND (n.held_by NOT IN (SELECT l.relation FROM locked l) OR o.id IS NOT NULL AND o.gone_at IS NULL AND o.oid = n.oid AND p.id IS NULL)
