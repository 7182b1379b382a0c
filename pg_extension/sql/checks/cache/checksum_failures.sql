-- title: Pages that were damaged on disk
-- looked at: SELECT count(checksum_failures) || ' databases and shared objects' FROM pg_stat_database
SELECT 'critical' AS severity, coalesce(quote_ident(f.datname), 'shared objects') AS object,
       format('%s pages did not have their checksum, the last at %s: the disk or what lies below it loses data; take a backup aside, keep the old ones, and look at the server''s log for the files', f.checksum_failures, f.checksum_last_failure) AS detail,
       jsonb_build_object('failures', f.checksum_failures, 'last', f.checksum_last_failure) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pg_stat_database f
WHERE f.checksum_failures > 0
ORDER BY f.checksum_failures DESC, 2
