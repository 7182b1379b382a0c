-- Statements of this database, most total time first, and whose they are for the most part; a text that the current role may not see is NULL.
SELECT s.queryid,
       CASE WHEN s.queryid IS NOT NULL THEN min(s.query) END,
       sum(s.calls)::bigint,
       sum(s.total_exec_time)::float8,
       (sum(s.total_exec_time) / greatest(sum(s.calls), 1))::float8,
       sum(s.rows)::float8,
       sum(s.shared_blks_hit + s.shared_blks_read + s.local_blks_hit + s.local_blks_read)::float8,
       (array_agg(s.userid ORDER BY s.total_exec_time DESC, s.userid))[1]
FROM {view} s
WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND s.calls > 0
GROUP BY s.queryid
ORDER BY 4 DESC, 1
LIMIT $1
