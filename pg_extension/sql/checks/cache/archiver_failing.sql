-- title: WAL is not archived
-- needs: primary
-- default: min_count = 1
-- looked at: SELECT archived_count || ' archived files' FROM pg_stat_archiver
SELECT CASE WHEN a.last_archived_time IS NULL OR a.last_failed_time > a.last_archived_time THEN 'critical' ELSE 'info' END AS severity,
       'archive_command' AS object,
       format('%s failures, the last at %s with %s; last file archived: %s%s', a.failed_count, a.last_failed_time, a.last_failed_wal, coalesce(a.last_archived_time::text, 'never'),
              CASE WHEN a.last_archived_time IS NULL OR a.last_failed_time > a.last_archived_time THEN '. WAL piles up on the disk, and no backup can be restored beyond that file' ELSE '' END) AS detail,
       jsonb_build_object('failed', a.failed_count, 'archived', a.archived_count, 'last_failed_wal', a.last_failed_wal) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pg_stat_archiver a
WHERE a.failed_count >= {min_count} AND a.last_failed_time IS NOT NULL
