-- Since when index scans and written rows are counted, for how many seconds, whether a standby is fed from here. Where the database's
-- statistics were never reset they began with the server's, which a crash begins anew.
SELECT coalesce(d.stats_reset, b.stats_reset)::text,
       extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, b.stats_reset, pg_postmaster_start_time()))::float8,
       EXISTS (SELECT 1 FROM pg_stat_replication)
FROM pg_stat_database d
CROSS JOIN pg_stat_bgwriter b
WHERE d.datname = current_database()
