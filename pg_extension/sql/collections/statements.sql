-- title: statements of this database from pg_stat_statements; of utility statements, which hold what was written, no text
SELECT s.queryid,
       CASE WHEN min(s.query) ~* '^[\s(]*(select|insert|update|delete|merge|with|values|table)\y'
            THEN regexp_replace(left(min(s.query), 200), '\s+', ' ', 'g')
            ELSE 'a utility statement' END AS query,
       sum(s.calls)::float8 AS calls,
       sum(s.total_exec_time) AS total_ms,
       sum(s.total_plan_time) AS plan_ms,
       max(s.max_exec_time) AS max_ms,
       -- Of all users' calls together, from each one's own mean and deviation.
       sqrt(greatest(sum(s.calls * (s.stddev_exec_time ^ 2 + s.mean_exec_time ^ 2)) / sum(s.calls)
                     - (sum(s.total_exec_time) / sum(s.calls)) ^ 2, 0)) AS deviation_ms,
       sum(s.plans)::float8 AS plans,
       sum(s.rows)::float8 AS rows,
       sum(s.shared_blks_hit)::float8 AS blocks_hit,
       sum(s.shared_blks_read)::float8 AS blocks_read,
       sum(s.temp_blks_written)::float8 AS temp_blocks,
       sum(s.wal_bytes)::float8 AS wal_bytes
FROM {pg_stat_statements}.pg_stat_statements s
WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND s.calls > 0
GROUP BY s.queryid
