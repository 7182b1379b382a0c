-- What the server is and allows: rows (fact, value). Statistics are as old as their last reset; a database that was
-- never reset is at least as old as the cluster's own counters, which a crash resets too.
SELECT 'version', current_setting('server_version_num')
UNION ALL
SELECT 'recovery', pg_is_in_recovery()::text
UNION ALL
SELECT 'statistics days',
       (extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, b.stats_reset)) / 86400)::float8::text
FROM pg_stat_database d, pg_stat_bgwriter b
WHERE d.datname = current_database()
UNION ALL
SELECT 'column statistics',
       CASE WHEN has_table_privilege('pg_catalog.pg_statistic', 'SELECT') THEN 'catalogue'
            WHEN pg_has_role(current_user, 'pg_read_all_data', 'USAGE') THEN 'view'
            ELSE 'none' END
UNION ALL
SELECT 'role ' || r.rolname, pg_has_role(current_user, r.oid, 'USAGE')::text
FROM pg_roles r
WHERE r.rolname IN ('pg_read_all_stats', 'pg_read_all_settings', 'pg_monitor', 'pg_stat_scan_tables')
UNION ALL
SELECT 'setting ' || s.name, s.setting
FROM pg_settings s
WHERE s.name IN ('track_counts', 'track_io_timing', 'archive_mode', 'pg_stat_statements.track_planning', 'pitcrew.history', 'pitcrew.capture_slots')
UNION ALL
SELECT 'preloaded pg_stat_statements', (current_setting('pg_stat_statements.max', true) IS NOT NULL)::text
UNION ALL
SELECT 'extension ' || e.extname, quote_ident(n.nspname)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
