-- title: VACUUM that runs for long
-- needs: role pg_read_all_stats
-- default: min_seconds = 10800
-- looked at: SELECT count(*) || ' running VACUUMs' FROM pg_stat_progress_vacuum
SELECT 'info' AS severity, f.object,
       format('is vacuumed by %s for %s s: %s now, %s %% of %s are read, with %s passes over its indexes so far', f.who, round(f.seconds), f.phase, round(f.percent),
              pg_size_pretty(f.bytes), f.index_vacuum_count) AS detail,
       jsonb_build_object('pid', f.pid, 'seconds', round(f.seconds), 'phase', f.phase, 'percent', round(f.percent, 1), 'index_passes', f.index_vacuum_count) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT p.pid, p.phase, p.index_vacuum_count, p.relid::regclass::text AS object, 100.0 * p.heap_blks_scanned / greatest(p.heap_blks_total, 1) AS percent,
             p.heap_blks_total * current_setting('block_size')::bigint AS bytes, extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds,
             CASE a.backend_type WHEN 'autovacuum worker' THEN 'autovacuum, pid ' || p.pid ELSE format('pid %s of user %s', p.pid, quote_ident(a.usename)) END AS who
      FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a ON a.pid = p.pid
      WHERE p.datname = current_database()) f
WHERE f.seconds >= {min_seconds}
ORDER BY f.seconds DESC, f.object
