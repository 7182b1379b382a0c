CREATE VIEW pitcrew.slow_queries AS SELECT * FROM pitcrew.slow_query_rows();
COMMENT ON VIEW pitcrew.slow_queries IS
    'Statements of this database by total execution time, from pg_stat_statements. hit_percent: share of blocks found in shared buffers; share_percent: share of all execution time in this database.';

CREATE VIEW pitcrew.table_stats AS
SELECT s.schemaname::text AS schema_name,
       s.relname::text AS table_name,
       pg_total_relation_size(s.relid) AS total_bytes,
       pg_table_size(s.relid) AS table_bytes,
       pg_indexes_size(s.relid) AS index_bytes,
       s.n_live_tup AS live_rows,
       s.n_dead_tup AS dead_rows,
       CASE WHEN s.n_live_tup + s.n_dead_tup > 0
            THEN 100.0::float8 * s.n_dead_tup::float8 / (s.n_live_tup + s.n_dead_tup)::float8
            ELSE 0::float8 END AS dead_percent,
       s.seq_scan AS seq_scans,
       s.seq_tup_read AS seq_rows_read,
       s.idx_scan AS index_scans,
       s.last_vacuum,
       s.last_autovacuum,
       s.last_analyze,
       s.last_autoanalyze
FROM pg_stat_user_tables s
WHERE s.schemaname <> 'pitcrew'
ORDER BY pg_total_relation_size(s.relid) DESC NULLS LAST, s.schemaname, s.relname;
COMMENT ON VIEW pitcrew.table_stats IS
    'Size and activity of each user table, largest first. dead_percent: share of row versions that VACUUM can remove.';
