-- Statements of this database with their share of all execution time here, most total time first.
WITH mine AS (
    SELECT s.queryid,
           min(s.query) AS query,
           sum(s.calls)::bigint AS calls,
           sum(s.total_exec_time)::float8 AS total_ms,
           max(s.max_exec_time)::float8 AS max_ms,
           sum(s.rows)::bigint AS rows,
           sum(s.shared_blks_hit)::float8 AS hit,
           sum(s.shared_blks_read)::float8 AS read
    FROM {view} s
    WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND s.calls > 0
    GROUP BY s.queryid
)
SELECT m.queryid, m.query, m.calls, m.total_ms, m.total_ms / greatest(m.calls, 1), m.max_ms, m.rows,
       100 * m.hit / nullif(m.hit + m.read, 0),
       COALESCE(100 * m.total_ms / nullif(sum(m.total_ms) OVER (), 0), 0)
FROM mine m
ORDER BY m.total_ms DESC, m.queryid
