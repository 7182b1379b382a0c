-- B-tree indexes that hold at least $2 percent more pages than their rows need, and at least $3 megabytes, which the
-- current role may maintain; most to gain first, at most $1. An entry is 8 bytes of header, 4 of pointer and the columns'
-- average width (pg_stats; 8 where a column has none); pages are filled to nine tenths.
SELECT c.oid
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
JOIN pg_class t ON t.oid = i.indrelid AND t.relkind IN ('r', 'm')
JOIN pg_namespace n ON n.oid = t.relnamespace
CROSS JOIN LATERAL (
    SELECT sum(coalesce(s.avg_width, 8)) AS width
    FROM unnest(i.indkey::int2[]) k (number)
    LEFT JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = k.number
    LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = b.attname AND NOT s.inherited
) w
CROSS JOIN LATERAL (
    SELECT ceil(greatest(c.reltuples, 0) * (12 + ceil(w.width / 8.0) * 8)
                / (0.9 * (current_setting('block_size')::float8 - 40))) + 1 AS needed,
           pg_relation_size(c.oid) AS bytes
) e
WHERE i.indisvalid AND c.relpersistence <> 't' AND c.reltuples >= 0
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (pg_has_role(current_user, t.relowner, 'USAGE')
       OR pg_has_role(current_user, (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()), 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(t.oid, 'MAINTAIN') END)
  AND e.bytes >= $3 * 1048576
  AND 100 * (1 - e.needed * current_setting('block_size')::float8 / nullif(e.bytes, 0)) >= $2
ORDER BY e.bytes - e.needed * current_setting('block_size')::float8 DESC, c.oid
LIMIT $1
