-- title: Temporary table that is old
-- default: min_transactions = 1000000
-- looked at: SELECT count(*) || ' temporary tables' FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'
SELECT CASE WHEN age(c.relfrozenxid) >= current_setting('autovacuum_freeze_max_age')::int THEN 'critical' ELSE 'warn' END AS severity,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS object,
       format('it is %s transactions old, and only its own session can vacuum it: it holds the database back from freezing. Where that session is gone, after a crash for example, drop it', age(c.relfrozenxid)) AS detail,
       jsonb_build_object('age', age(c.relfrozenxid), 'bytes', c.relpages::bigint * current_setting('block_size')::int) AS evidence,
       format('DROP TABLE %I.%I', n.nspname, c.relname) AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence = 't' AND c.relkind = 'r' AND age(c.relfrozenxid) >= {min_transactions}
ORDER BY age(c.relfrozenxid) DESC, 2
