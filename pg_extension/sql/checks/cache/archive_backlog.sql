-- title: WAL that waits for the archiver
-- needs: role pg_monitor
-- default: min_files = 32
-- default: critical_files = 512
-- looked at: SELECT count(*) FILTER (WHERE name LIKE '%.ready') || ' files that wait, with archive_mode = ' || current_setting('archive_mode') FROM pg_ls_archive_statusdir()
SELECT CASE WHEN f.files >= {critical_files} THEN 'critical' ELSE 'warn' END AS severity, 'pg_wal/archive_status' AS object,
       format('%s files of WAL (%s) wait to be archived, the oldest for %s s: they stay on the disk until then, and no backup can be restored up to what is in them. Last archived: %s; failures: %s',
              f.files, pg_size_pretty(f.bytes), round(f.seconds), coalesce(a.last_archived_wal, 'nothing'), a.failed_count) AS detail,
       jsonb_build_object('files', f.files, 'bytes', f.bytes, 'seconds', round(f.seconds), 'last_archived_wal', a.last_archived_wal, 'failed', a.failed_count) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT count(*) AS files,
             -- Names of segments have 24 digits; what else waits, a history of timelines, is small.
             count(*) FILTER (WHERE s.name ~ '^[0-9A-F]{24}\.ready$') * (SELECT g.setting::bigint FROM pg_settings g WHERE g.name = 'wal_segment_size') AS bytes,
             extract(epoch FROM clock_timestamp() - min(s.modification)) AS seconds
      FROM pg_ls_archive_statusdir() s WHERE s.name LIKE '%.ready') f
CROSS JOIN pg_stat_archiver a
WHERE f.files > 0 AND f.files >= {min_files}
