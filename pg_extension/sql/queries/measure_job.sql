-- Sizes and row versions of $1, or of the whole database when it is 0. Bloat is what the pages hold above the live
-- rows at their average width (pg_stats, so only what the role may see); 28 bytes are a row's header and
-- pointer. Of the index $2 that the job made: a hash of its definition, so that another one is known later.
SELECT (jsonb_strip_nulls(CASE WHEN $1 = 0::oid THEN jsonb_build_object('bytes', pg_database_size(current_database()))
ELSE (
    SELECT jsonb_build_object(
        'bytes', pg_total_relation_size(c.oid),
        'table_bytes', pg_table_size(c.oid),
        'index_bytes', pg_indexes_size(c.oid),
        'live_rows', pg_stat_get_live_tuples(c.oid),
        'dead_rows', pg_stat_get_dead_tuples(c.oid),
        'bloat_bytes', CASE WHEN c.relkind IN ('r', 'm') AND w.width IS NOT NULL THEN greatest(0, pg_relation_size(c.oid)
            - ceil(pg_stat_get_live_tuples(c.oid) * (28 + ceil(w.width / 8.0) * 8)
                   / (current_setting('block_size')::float8 - 24)) * current_setting('block_size')::bigint)::bigint END)
    FROM pg_class c
    LEFT JOIN LATERAL (
        SELECT sum(s.avg_width * (1 - s.null_frac)) AS width
        FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
        WHERE n.oid = c.relnamespace AND s.tablename = c.relname AND NOT s.inherited
    ) w ON true
    WHERE c.oid = $1
) END || jsonb_build_object('index', hashtextextended(pg_get_indexdef(nullif($2, 0::oid)), 0)::text)))::text
