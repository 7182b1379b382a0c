-- title: The last checkpoint is long ago
-- default: min_seconds = 3600
-- default: min_bytes = 1073741824
-- looked at: SELECT 'a checkpoint of ' || checkpoint_time FROM pg_control_checkpoint()
SELECT 'warn' AS severity, 'checkpoint' AS object,
       format('the last %s began %s s ago, and %s of WAL were written since: after a crash all of it is read again before anybody gets in', CASE WHEN f.is_standby THEN 'restartpoint' ELSE 'checkpoint' END,
              round(f.seconds), pg_size_pretty(f.bytes)) AS detail,
       jsonb_build_object('seconds', round(f.seconds), 'bytes', f.bytes, 'checkpoint_timeout', current_setting('checkpoint_timeout'), 'max_wal_size', current_setting('max_wal_size')) AS evidence,
       'CHECKPOINT' AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM (SELECT extract(epoch FROM clock_timestamp() - c.checkpoint_time) AS seconds, pg_is_in_recovery() AS is_standby,
             pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, c.redo_lsn)::bigint AS bytes
      FROM pg_control_checkpoint() c) f
-- A server at rest makes none, and has nothing to read again.
WHERE f.seconds >= {min_seconds} AND f.bytes >= {min_bytes}
