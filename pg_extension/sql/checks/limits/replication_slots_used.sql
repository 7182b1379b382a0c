-- title: Places for replication are nearly used up
-- needs: role pg_read_all_stats
-- default: min_percent = 90
-- looked at: SELECT count(*) || ' replication slots' FROM pg_replication_slots
SELECT 'warn' AS severity, f.name AS object,
       format('%s of %s are taken: no further standby or subscriber gets in, and one that lost its place does not come back', f.used, f.most) AS detail,
       jsonb_build_object('used', f.used, f.name, f.most) AS evidence,
       format('ALTER SYSTEM SET %I = %s', f.name, 2 * f.most) AS fix_sql, NULL AS fix_job, 'medium' AS confidence
FROM (SELECT 'max_replication_slots' AS name, (SELECT count(*) FROM pg_replication_slots) AS used, current_setting('max_replication_slots')::int AS most
      UNION ALL SELECT 'max_wal_senders', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'), current_setting('max_wal_senders')::int) f
WHERE f.used > 0 AND f.most > 0 AND 100.0 * f.used / f.most >= {min_percent}
ORDER BY f.name
