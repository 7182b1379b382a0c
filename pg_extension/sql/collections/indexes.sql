-- title: the indexes of those tables
-- uses: relations
SELECT i.indexrelid AS oid, i.indrelid AS table_oid, c.relname::text AS name,
       quote_ident(r.schema_name) || '.' || quote_ident(c.relname) AS object, r.object AS table_object,
       a.amname::text AS method, c.relkind = 'I' AS is_partitioned, c.relispartition AS is_partition,
       c.relpages::bigint AS pages, greatest(c.reltuples, 0)::float8 AS tuples,
       c.relpages::bigint * (SELECT current_setting('block_size')::bigint) AS bytes,
       r.tuples AS table_tuples, r.pages AS table_pages, r.last_analyze,
       i.indisunique AS is_unique, i.indisprimary AS is_primary, i.indisvalid AS is_valid, i.indisready AS is_ready,
       i.indisexclusion AS is_exclusion, i.indisreplident OR i.indisclustered AS is_marked,
       -- What a foreign key refers to is one too.
       k.conindid IS NOT NULL AS is_constraint, i.indimmediate AS is_immediate, i.indnullsnotdistinct AS nulls_not_distinct,
       i.indnkeyatts::int AS key_columns,
       -- Arrays from 0, as the catalogue has them: classes, collations and directions of key columns, columns of INCLUDE's too.
       i.indkey::int2[] AS columns, i.indclass::oid[] AS classes, i.indcollation::oid[] AS collations, i.indoption::int2[] AS directions,
       i.indkey[0]::int AS first_column, i.indclass[0] AS first_class,
       CASE WHEN i.indexprs IS NOT NULL THEN pg_get_expr(i.indexprs, i.indrelid) END AS expressions,
       CASE WHEN i.indpred IS NOT NULL THEN pg_get_expr(i.indpred, i.indrelid) END AS predicate,
       c.reloptions AS options,
       pg_stat_get_numscans(i.indexrelid) AS scans,
       pg_stat_get_blocks_fetched(i.indexrelid) AS blocks_fetched,
       pg_stat_get_blocks_hit(i.indexrelid) AS blocks_hit
FROM relations r
JOIN pg_index i ON i.indrelid = r.oid
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam
LEFT JOIN (SELECT DISTINCT conindid FROM pg_constraint WHERE contype IN ('p', 'u', 'x', 'f')) k ON k.conindid = i.indexrelid
