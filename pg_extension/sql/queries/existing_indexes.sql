-- Each valid index of table $1: method, number of keys, each column as SQL and by its number (0 for an expression), classes and
-- options of the keys, predicate, whether all classes are their types' default ones, and whether at most one row has a key.
SELECT a.amname::text,
       i.indnkeyatts::int,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) FROM generate_series(1, i.indnatts::int) k ORDER BY k),
       i.indkey::int2[],
       i.indclass::oid[],
       i.indoption::int2[],
       pg_get_expr(i.indpred, i.indrelid),
       (SELECT bool_and(o.opcdefault) FROM pg_opclass o WHERE o.oid = ANY (i.indclass::oid[])),
       i.indisunique AND i.indpred IS NULL
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = $1 AND i.indisvalid
