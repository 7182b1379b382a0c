-- The valid indexes that REINDEX CONCURRENTLY of $1 (an index, a table, or either partitioned) rebuilds, those of TOAST
-- tables too.
SELECT array_agg(i.indexrelid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indisvalid AND c.relkind = 'i'
  AND (i.indexrelid = $1 OR i.indrelid = $1
       OR i.indrelid = (SELECT t.reltoastrelid FROM pg_class t WHERE t.oid = $1)
       OR i.indexrelid IN (SELECT p.relid FROM pg_partition_tree($1::regclass) p)
       OR i.indrelid IN (SELECT p.relid FROM pg_partition_tree($1::regclass) p)
       OR i.indrelid IN (SELECT t.reltoastrelid FROM pg_partition_tree($1::regclass) p JOIN pg_class t ON t.oid = p.relid))
