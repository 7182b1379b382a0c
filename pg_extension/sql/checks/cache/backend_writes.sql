-- title: Sessions write out dirty pages themselves
-- uses: page_writes
-- needs: role pg_read_all_stats
-- default: min_blocks = 10000
-- default: min_percent = 30
-- looked at: SELECT whole || ' written pages' FROM page_writes
SELECT 'info' AS severity, 'shared_buffers' AS object,
       format('sessions wrote %s of %s pages (%s %%) themselves, waiting for the disk where the background writer (bgwriter_lru_maxpages = %s) and checkpoints should have been first', f.own, f.whole,
              round(f.percent), current_setting('bgwriter_lru_maxpages')) AS detail,
       jsonb_build_object('blocks', f.own, 'all_blocks', f.whole, 'shared_buffers', current_setting('shared_buffers')) AS evidence,
       format(E'ALTER SYSTEM SET bgwriter_lru_maxpages = %s;\nSELECT pg_reload_conf()', least(1000, 4 * greatest(100, current_setting('bgwriter_lru_maxpages')::int))) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT w.*, 100.0 * w.own / nullif(w.whole, 0) AS percent FROM page_writes w) f
WHERE f.own >= {min_blocks} AND f.percent >= {min_percent}
