-- Statements whose counters are others than at the last tick: object, query id, counters then and now, and how many
-- statements there are in all. $1: most statements.
WITH now AS MATERIALIZED (
    SELECT s.queryid,
           ARRAY[sum(s.calls)::bigint,
                 (1000 * sum(s.total_exec_time))::bigint,
                 (1000 * sum(s.total_plan_time))::bigint,
                 sum(s.rows)::bigint,
                 sum(s.shared_blks_hit)::bigint,
                 sum(s.shared_blks_read)::bigint,
                 sum(s.temp_blks_read + s.temp_blks_written)::bigint,
                 sum(s.wal_bytes)::bigint] AS counters,
           count(*) OVER () AS found
    FROM {schema}.pg_stat_statements(false) s
    WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND s.queryid IS NOT NULL AND s.calls > 0
    GROUP BY s.queryid
    ORDER BY sum(s.total_exec_time) DESC
    LIMIT $1
)
SELECT o.id, n.queryid, o.last, n.counters, n.found
FROM now n
LEFT JOIN pitcrew.history_objects o ON o.kind = 's' AND o.key = n.queryid::text
WHERE o.last IS DISTINCT FROM n.counters
