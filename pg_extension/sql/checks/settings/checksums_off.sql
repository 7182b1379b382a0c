-- title: Pages carry no checksums
-- looked at: SELECT 'data_checksums = ' || current_setting('data_checksums')
SELECT 'info' AS severity, 'data_checksums' AS object,
       'damage by a disk is found when a query fails or answers wrong, and no sooner; pg_checksums --enable sets them while the server is stopped' AS detail,
       jsonb_build_object('data_checksums', s.setting) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pg_settings s
WHERE s.name = 'data_checksums' AND s.setting = 'off'
