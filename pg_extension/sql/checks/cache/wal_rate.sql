-- title: Much WAL is written
-- default: min_bytes_per_day = 107374182400
-- looked at: SELECT wal_records || ' WAL records' FROM pg_stat_wal
SELECT 'info' AS severity, 'WAL' AS object,
       format('%s a day; %s %% of the records carry a whole page, as each does that changes it first after a checkpoint%s', pg_size_pretty(f.per_day::bigint), f.fpi_share,
              CASE WHEN current_setting('wal_compression') = 'off' THEN '; wal_compression is off' ELSE '' END) AS detail,
       jsonb_build_object('bytes_per_day', round(f.per_day), 'bytes', f.wal_bytes, 'full_page_images', f.wal_fpi, 'records', f.wal_records) AS evidence,
       CASE WHEN current_setting('wal_compression') = 'off' THEN E'ALTER SYSTEM SET wal_compression = on;\nSELECT pg_reload_conf()' END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT w.wal_bytes, w.wal_fpi, w.wal_records, round(100.0 * w.wal_fpi / greatest(w.wal_records, 1)) AS fpi_share,
             -- Over less than an hour a rate says nothing of a day.
             w.wal_bytes / greatest(extract(epoch FROM clock_timestamp() - w.stats_reset) / 86400, 1.0 / 24) AS per_day
      FROM pg_stat_wal w) f
WHERE f.per_day >= {min_bytes_per_day}
