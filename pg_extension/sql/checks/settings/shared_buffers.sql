-- title: The cache is small for what is read
-- default: min_reads = 100000
-- default: max_percent = 95
-- looked at: SELECT 'shared_buffers = ' || current_setting('shared_buffers')
SELECT 'info' AS severity, 'shared_buffers' AS object,
       format('%s %% of the blocks that were asked for were in shared_buffers (%s), and the databases have %s together', round(f.percent, 1), current_setting('shared_buffers'), pg_size_pretty(f.bytes)) AS detail,
       jsonb_build_object('hit_percent', round(f.percent, 1), 'reads', f.reads, 'database_bytes', f.bytes, 'shared_buffers', current_setting('shared_buffers')) AS evidence,
       -- A quarter of the memory is PostgreSQL's own advice; how much there is cannot be seen in SQL, so twice at a time.
       format('ALTER SYSTEM SET shared_buffers = ''%skB''', 2 * f.buffers_kb) AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM (SELECT sum(d.blks_read)::bigint AS reads, 100.0 * sum(d.blks_hit) / nullif(sum(d.blks_hit) + sum(d.blks_read), 0) AS percent,
             (SELECT sum(pg_database_size(b.oid))::bigint FROM pg_database b WHERE has_database_privilege(b.oid, 'CONNECT')) AS bytes,
             (SELECT s.setting::bigint * current_setting('block_size')::bigint / 1024 FROM pg_settings s WHERE s.name = 'shared_buffers') AS buffers_kb
      FROM pg_stat_database d) f
WHERE f.reads >= {min_reads} AND f.percent < {max_percent} AND f.bytes > f.buffers_kb * 1024
