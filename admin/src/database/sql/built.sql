-- Indexes that jobs have built, the newest first, and how often they were used since.
SELECT j.id AS job, coalesce(c.relname::text, j.options OPERATOR(pg_catalog.->>) 'name') AS index_name, j.target::text AS table_name,
       j.finished_at AS built_at, c.oid IS NOT NULL AS is_there, pg_catalog.pg_relation_size(c.oid) AS bytes, s.idx_scan AS scans
FROM pitcrew.jobs AS j
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = j.index_oid AND c.relkind IN ('i', 'I')
LEFT JOIN pg_catalog.pg_stat_user_indexes AS s ON s.indexrelid = c.oid
WHERE j.kind = 'create_index' AND j.state = 'done'
ORDER BY j.id DESC
LIMIT 10
