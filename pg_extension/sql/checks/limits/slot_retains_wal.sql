-- title: Replication slot that keeps WAL
-- default: min_bytes = 1073741824
-- default: critical_bytes = 34359738368
-- looked at: SELECT count(*) || ' replication slots' FROM pg_replication_slots
SELECT CASE WHEN f.kept >= {critical_bytes} OR f.wal_status IN ('unreserved', 'lost') THEN 'critical' ELSE 'warn' END AS severity,
       'slot ' || quote_ident(f.slot_name) AS object,
       format('a %s slot, %s, keeps %s of WAL (%s); it grows until somebody reads or drops it%s', f.slot_type, CASE WHEN f.active THEN 'in use' ELSE 'not in use' END,
              pg_size_pretty(f.kept), f.wal_status,
              CASE WHEN current_setting('max_slot_wal_keep_size') = '-1' THEN ', and max_slot_wal_keep_size sets no end' ELSE '' END) AS detail,
       jsonb_build_object('bytes', f.kept, 'active', f.active, 'wal_status', f.wal_status) AS evidence,
       CASE WHEN NOT f.active THEN format('SELECT pg_drop_replication_slot(%L)', f.slot_name) END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT s.*, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn)::bigint AS kept
      FROM pg_replication_slots s) f
WHERE f.kept >= {min_bytes} OR f.wal_status = 'lost'
ORDER BY f.kept DESC NULLS FIRST, 2
