-- title: The planner takes this disk for a slow one
-- needs: setting track_io_timing
-- default: min_reads = 10000
-- default: max_ms = 0.5
-- default: min_ms = 0.002
-- looked at: SELECT 'random_page_cost = ' || current_setting('random_page_cost')
SELECT 'info' AS severity, 'random_page_cost' AS object,
       format('a block is read in %s ms on average over %s reads, if all of them were timed, and random_page_cost is %s, which is meant for disks that turn: plans by index look dearer than they are', round(f.ms::numeric, 3), f.reads,
              current_setting('random_page_cost')) AS detail,
       jsonb_build_object('read_ms', f.ms, 'reads', f.reads, 'random_page_cost', current_setting('random_page_cost')) AS evidence,
       E'ALTER SYSTEM SET random_page_cost = 1.1;\nSELECT pg_reload_conf()' AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM (SELECT sum(d.blks_read)::bigint AS reads, sum(d.blk_read_time) / nullif(sum(d.blks_read), 0) AS ms FROM pg_stat_database d) f
-- Nobody remembers since when reads are timed: a mean that no call of the system takes says that most of them were not.
WHERE f.reads >= {min_reads} AND f.ms <= {max_ms} AND f.ms >= {min_ms} AND current_setting('random_page_cost')::float8 > 2 * current_setting('seq_page_cost')::float8
