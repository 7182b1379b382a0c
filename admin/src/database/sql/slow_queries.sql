-- Constants are taken out of planned statements alone: of a utility statement (CREATE ROLE ... PASSWORD) the verb is shown.
SELECT s.queryid,
       CASE WHEN s.query ~* '^\s*(select|insert|update|delete|merge|with|values|table)\M' THEN s.query
            ELSE substring(s.query from '^\s*(\w+(?:\s+\w+)?)') || ' ...' END AS query,
       s.calls, s.total_exec_time AS total_ms, s.mean_exec_time AS mean_ms,
       s.max_exec_time AS max_ms, s.rows
FROM pg_stat_statements AS s
WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY s.total_exec_time DESC
LIMIT 20
