-- title: Sessions write out dirty pages themselves
-- needs: role pg_read_all_stats
-- default: min_blocks = 10000
-- default: min_percent = 30
-- looked at: SELECT 'the counters of written pages'
SELECT 'info' AS severity, 'shared_buffers' AS object,
       format('sessions wrote %s of %s pages (%s %%) themselves, waiting for the disk where the background writer (bgwriter_lru_maxpages = %s) and checkpoints should have been first', f.own, f.whole,
              round(f.percent), current_setting('bgwriter_lru_maxpages')) AS detail,
       jsonb_build_object('blocks', f.own, 'all_blocks', f.whole, 'shared_buffers', current_setting('shared_buffers')) AS evidence,
       format(E'ALTER SYSTEM SET bgwriter_lru_maxpages = %s;\nSELECT pg_reload_conf()', least(1000, 4 * greatest(100, current_setting('bgwriter_lru_maxpages')::int))) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT b.buffers_backend AS own, b.buffers_backend + b.buffers_clean + b.buffers_checkpoint AS whole,
             100.0 * b.buffers_backend / nullif(b.buffers_backend + b.buffers_clean + b.buffers_checkpoint, 0) AS percent
      FROM pg_stat_bgwriter b) f
WHERE f.own >= {min_blocks} AND f.percent >= {min_percent}
-- from version 16
SELECT 'info' AS severity, 'shared_buffers' AS object,
       format('sessions wrote %s of %s pages (%s %%) themselves, waiting for the disk where the background writer (bgwriter_lru_maxpages = %s) and checkpoints should have been first', f.own, f.whole,
              round(f.percent), current_setting('bgwriter_lru_maxpages')) AS detail,
       jsonb_build_object('blocks', f.own, 'all_blocks', f.whole, 'shared_buffers', current_setting('shared_buffers')) AS evidence,
       format(E'ALTER SYSTEM SET bgwriter_lru_maxpages = %s;\nSELECT pg_reload_conf()', least(1000, 4 * greatest(100, current_setting('bgwriter_lru_maxpages')::int))) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT sum(w.writes) FILTER (WHERE w.backend_type = 'client backend')::bigint AS own, sum(w.writes)::bigint AS whole,
             100.0 * sum(w.writes) FILTER (WHERE w.backend_type = 'client backend') / nullif(sum(w.writes), 0) AS percent
      -- Bulk reads and writes and vacuum have rings of their own, which they write out by design.
      FROM pg_stat_io w WHERE w.object = 'relation' AND w.context = 'normal') f
WHERE f.own >= {min_blocks} AND f.percent >= {min_percent}
