-- title: This standby receives nothing
-- needs: standby, role pg_read_all_stats
-- looked at: SELECT count(*) || ' WAL receivers' FROM pg_stat_wal_receiver
SELECT 'critical' AS severity, 'WAL receiver' AS object,
       format('primary_conninfo is set and nothing streams from there; the last transaction that came is of %s', coalesce(pg_last_xact_replay_timestamp()::text, 'an unknown time')) AS detail,
       jsonb_build_object('last_transaction', pg_last_xact_replay_timestamp(), 'replayed', pg_last_wal_replay_lsn()) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
-- The value holds a password, and pg_settings shows it to whom it may be shown.
WHERE EXISTS (SELECT 1 FROM pg_settings s WHERE s.name = 'primary_conninfo' AND s.setting <> '')
  AND NOT EXISTS (SELECT 1 FROM pg_stat_wal_receiver r WHERE r.status = 'streaming')
