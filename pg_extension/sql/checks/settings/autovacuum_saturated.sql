-- title: All workers of autovacuum are busy
-- needs: role pg_read_all_stats
-- looked at: SELECT count(*) || ' of ' || current_setting('autovacuum_max_workers') || ' workers' FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'
SELECT 'warn' AS severity, 'autovacuum_max_workers' AS object,
       format('all %s workers are at work, the longest for %s s; what falls due waits for one of them. More workers share one cost limit: raise autovacuum_vacuum_cost_limit with them', f.workers, round(f.seconds)) AS detail,
       jsonb_build_object('workers', f.workers, 'seconds', round(f.seconds), 'autovacuum_vacuum_cost_limit', current_setting('autovacuum_vacuum_cost_limit')) AS evidence,
       format(E'ALTER SYSTEM SET autovacuum_vacuum_cost_limit = %s;\nSELECT pg_reload_conf()',
              least(10000, 2 * CASE WHEN current_setting('autovacuum_vacuum_cost_limit')::int > 0 THEN current_setting('autovacuum_vacuum_cost_limit')::int
                                    ELSE current_setting('vacuum_cost_limit')::int END)) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM (SELECT count(*) AS workers, max(extract(epoch FROM clock_timestamp() - a.xact_start)) AS seconds
      FROM pg_stat_activity a WHERE a.backend_type = 'autovacuum worker') f
WHERE f.workers >= current_setting('autovacuum_max_workers')::int
