-- title: Planner told of less cache than there is
-- looked at: SELECT 'effective_cache_size = ' || current_setting('effective_cache_size')
SELECT 'warn' AS severity, 'effective_cache_size' AS object,
       format('%s is less than shared_buffers (%s), which are a part of it: index scans look dearer than they are', current_setting('effective_cache_size'), current_setting('shared_buffers')) AS detail,
       jsonb_build_object('effective_cache_size_pages', e.setting::bigint, 'shared_buffers_pages', b.setting::bigint) AS evidence,
       -- The rule of the manual: half of the memory is a conservative value, and shared_buffers are a quarter of it.
       format(E'ALTER SYSTEM SET effective_cache_size = ''%skB'';\nSELECT pg_reload_conf()', b.setting::bigint * 2 * current_setting('block_size')::bigint / 1024) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_settings e, pg_settings b
WHERE e.name = 'effective_cache_size' AND b.name = 'shared_buffers' AND e.setting::bigint < b.setting::bigint
