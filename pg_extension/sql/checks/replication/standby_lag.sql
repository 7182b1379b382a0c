-- title: Standby that lags behind
-- needs: primary, role pg_read_all_stats
-- default: min_bytes = 67108864
-- default: min_seconds = 30
-- default: critical_seconds = 600
-- looked at: SELECT count(*) || ' connected standbys' FROM pg_stat_replication
SELECT CASE WHEN f.seconds >= {critical_seconds} THEN 'critical' ELSE 'warn' END AS severity,
       format('standby %s', quote_ident(f.application_name)) AS object,
       format('%s behind in what it shows and %s in what it has on disk%s; it is in state %s: %s', pg_size_pretty(f.replay_bytes), pg_size_pretty(f.flush_bytes),
              CASE WHEN f.seconds > 0 THEN format(', %s s late', round(f.seconds::numeric, 1)) ELSE '' END, f.state,
              CASE WHEN f.sent_bytes > f.replay_bytes / 2 THEN 'most of it was not sent yet, so look at this server and the network'
                   WHEN f.flush_bytes > f.replay_bytes / 2 THEN 'most of it was not written there yet, so look at the network and its disk'
                   ELSE 'it has it and does not replay it: a long query there holds it up, or one process cannot keep up' END) AS detail,
       jsonb_build_object('pid', f.pid, 'address', f.client_addr, 'state', f.state, 'sync_state', f.sync_state, 'sent_bytes', f.sent_bytes,
                          'flush_bytes', f.flush_bytes, 'replay_bytes', f.replay_bytes, 'replay_seconds', f.seconds) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT r.*, pg_wal_lsn_diff(pg_current_wal_lsn(), r.sent_lsn)::bigint AS sent_bytes, pg_wal_lsn_diff(pg_current_wal_lsn(), r.flush_lsn)::bigint AS flush_bytes,
             pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint AS replay_bytes,
             coalesce(extract(epoch FROM r.replay_lag), 0)::float8 AS seconds
      FROM pg_stat_replication r) f
WHERE f.replay_bytes >= {min_bytes} OR f.seconds >= {min_seconds}
ORDER BY f.replay_bytes DESC, 2
