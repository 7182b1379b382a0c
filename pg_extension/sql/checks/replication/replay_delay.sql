-- title: This standby shows old rows
-- needs: standby
-- default: min_seconds = 30
-- default: critical_seconds = 600
-- looked at: SELECT 'replay up to ' || coalesce(pg_last_wal_replay_lsn()::text, 'nothing')
SELECT CASE WHEN f.seconds >= {critical_seconds} THEN 'critical' ELSE 'warn' END AS severity, 'replay' AS object,
       format('the last transaction that it shows is %s s old, and %s of received WAL are not replayed%s', round(f.seconds), pg_size_pretty(f.bytes),
              CASE WHEN f.paused THEN '; replay is paused' WHEN f.delay <> '0' THEN '; recovery_min_apply_delay is ' || f.delay ELSE '' END) AS detail,
       jsonb_build_object('seconds', round(f.seconds), 'bytes', f.bytes, 'paused', f.paused, 'recovery_min_apply_delay', f.delay) AS evidence,
       CASE WHEN f.paused THEN 'SELECT pg_wal_replay_resume()' END AS fix_sql, NULL AS fix_job, CASE WHEN f.paused THEN 'medium' END AS confidence
FROM (SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) AS seconds,
             pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS bytes,
             pg_is_wal_replay_paused() AS paused, current_setting('recovery_min_apply_delay') AS delay) f
-- With nothing left to replay an old transaction is the primary's own silence.
WHERE f.seconds >= {min_seconds} AND f.bytes > 0
