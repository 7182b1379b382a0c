-- Rows of table $1, or of its partitions, that were inserted, updated, updated HOT and deleted since they are counted, and how
-- many there are.
WITH parts AS (SELECT $1::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::regclass) WHERE isleaf)
SELECT ARRAY[sum(pg_stat_get_tuples_inserted(oid)), sum(pg_stat_get_tuples_updated(oid)), sum(pg_stat_get_tuples_hot_updated(oid)),
             sum(pg_stat_get_tuples_deleted(oid)), sum(pg_stat_get_live_tuples(oid))]::float8[]
FROM parts
