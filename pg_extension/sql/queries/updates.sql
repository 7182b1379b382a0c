-- Updates of table $1 since its statistics began, and how many of them were HOT.
SELECT (SELECT ARRAY[n_tup_upd, n_tup_hot_upd] FROM pg_stat_all_tables WHERE relid = $1)
