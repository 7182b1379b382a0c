-- Since when index scans are counted (NULL: since the statistics began), for how many days, whether a standby is fed from here.
SELECT d.stats_reset::text,
       extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 / 86400,
       EXISTS (SELECT 1 FROM pg_stat_replication)
FROM pg_stat_database d
WHERE d.datname = current_database()
