-- What the server tells of the workers $1: whether one waits for a lock and for whom, and its progress. The columns of
-- the progress views differ between versions, so a row is taken whole.
SELECT a.pid,
       a.wait_event_type IS NOT DISTINCT FROM 'Lock',
       jsonb_strip_nulls(coalesce(p.row, '{}') || jsonb_build_object(
           'fraction', round(p.fraction::numeric, 2),
           'waiting_for', CASE WHEN a.wait_event_type = 'Lock' THEN to_jsonb(pg_blocking_pids(a.pid)) END))::text
FROM pg_stat_activity a
LEFT JOIN (
    SELECT v.pid, to_jsonb(v) - '{pid,datid,datname,relid}'::text[], v.heap_blks_scanned::float8 / nullif(v.heap_blks_total, 0)
    FROM pg_stat_progress_vacuum v
    UNION ALL
    SELECT v.pid, to_jsonb(v) - '{pid,datid,datname,relid}'::text[], v.sample_blks_scanned::float8 / nullif(v.sample_blks_total, 0)
    FROM pg_stat_progress_analyze v
    UNION ALL
    SELECT v.pid, to_jsonb(v) - '{pid,datid,datname,relid}'::text[], v.heap_blks_scanned::float8 / nullif(v.heap_blks_total, 0)
    FROM pg_stat_progress_cluster v
    UNION ALL
    SELECT v.pid, to_jsonb(v) - '{pid,datid,datname,relid}'::text[],
           coalesce(v.blocks_done::float8 / nullif(v.blocks_total, 0), v.tuples_done::float8 / nullif(v.tuples_total, 0),
                    v.lockers_done::float8 / nullif(v.lockers_total, 0))
    FROM pg_stat_progress_create_index v
) p (pid, row, fraction) ON p.pid = a.pid
WHERE a.pid = ANY ($1)
