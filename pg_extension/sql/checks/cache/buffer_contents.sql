-- title: What fills the cache
-- uses: relations, indexes
-- needs: extension pg_buffercache, role pg_monitor
-- default: min_percent = 10
-- looked at: SELECT current_setting('shared_buffers') || ' of shared_buffers'
SELECT 'info' AS severity, f.object,
       format('%s of it are in shared_buffers, %s %% of them; %s %% of these pages are dirty, %s %% were asked for often', pg_size_pretty(f.buffers * current_setting('block_size')::bigint),
              round(f.percent, 1), round(100.0 * f.dirty / f.buffers), round(100.0 * f.often / f.buffers)) AS detail,
       jsonb_build_object('buffers', f.buffers, 'percent', round(f.percent, 1), 'dirty', f.dirty, 'often', f.often) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT o.object, count(*) AS buffers, 100.0 * count(*) / (SELECT s.setting::bigint FROM pg_settings s WHERE s.name = 'shared_buffers') AS percent,
             count(*) FILTER (WHERE b.isdirty) AS dirty, count(*) FILTER (WHERE b.usagecount >= 3) AS often
      FROM {pg_buffercache}.pg_buffercache b
      JOIN (SELECT pg_relation_filenode(r.oid) AS filenode, r.object FROM relations r
            UNION ALL SELECT pg_relation_filenode(i.oid), i.object FROM indexes i) o ON o.filenode = b.relfilenode
      WHERE b.reldatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      GROUP BY 1) f
WHERE f.percent >= {min_percent}
ORDER BY f.buffers DESC, f.object
