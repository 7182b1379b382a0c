SELECT s.schemaname AS schema_name, s.relname AS table_name,
       pg_catalog.pg_total_relation_size(s.relid) AS total_bytes,
       s.n_live_tup AS live_rows, s.n_dead_tup AS dead_rows,
       round(s.n_dead_tup * 100.0 / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) AS dead_percent,
       s.seq_scan AS seq_scans, s.idx_scan AS index_scans,
       s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze
FROM pg_catalog.pg_stat_user_tables AS s
ORDER BY total_bytes DESC
LIMIT 50
