-- Transaction ids are two thousand million ahead of the oldest at most (PostgreSQL, "Preventing Transaction ID Wraparound Failures").
SELECT 100.0 * (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')
       / pg_catalog.current_setting('max_connections')::double precision AS connections_percent,
       100.0 * (SELECT pg_catalog.max(pg_catalog.age(datfrozenxid)) FROM pg_catalog.pg_database)
       / 2147483648.0::double precision AS wraparound_percent,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            -- Where all that came was replayed nothing lags, however long ago the primary wrote last.
            THEN CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
                 ELSE extract(epoch FROM pg_catalog.now() - pg_catalog.pg_last_xact_replay_timestamp()) END
            ELSE (SELECT pg_catalog.max(extract(epoch FROM replay_lag)) FROM pg_catalog.pg_stat_replication)
       END::double precision AS replication_lag_s
