-- title: WAL buffers fill up
-- default: min_count = 1000
-- looked at: SELECT wal_records || ' WAL records' FROM pg_stat_wal
SELECT 'info' AS severity, 'wal_buffers' AS object,
       format('a session had to write WAL itself %s times since the statistics began, as wal_buffers (%s) were full', w.wal_buffers_full, current_setting('wal_buffers')) AS detail,
       jsonb_build_object('wal_buffers_full', w.wal_buffers_full, 'wal_bytes', w.wal_bytes) AS evidence,
       format('ALTER SYSTEM SET wal_buffers = ''%skB''', 2 * s.setting::bigint * 8) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM pg_stat_wal w, pg_settings s
WHERE s.name = 'wal_buffers' AND w.wal_buffers_full >= {min_count}
