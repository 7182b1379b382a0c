-- title: Synchronous standby that is not there
-- needs: primary, role pg_read_all_stats
-- looked at: SELECT count(*) || ' connected standbys' FROM pg_stat_replication
SELECT 'critical' AS severity, 'synchronous_standby_names' AS object,
       format('synchronous_standby_names is %s and no synchronous standby is connected: with synchronous_commit = %s every COMMIT waits until one comes', quote_literal(f.setting),
              current_setting('synchronous_commit')) AS detail,
       jsonb_build_object('synchronous_standby_names', f.setting, 'connected', (SELECT count(*) FROM pg_stat_replication),
                          'waiting', (SELECT count(*) FROM pg_stat_activity a WHERE a.wait_event = 'SyncRep')) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT current_setting('synchronous_standby_names') AS setting) f
WHERE f.setting <> '' AND NOT EXISTS (SELECT 1 FROM pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum'))
