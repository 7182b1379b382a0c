-- title: Sessions wait for the same thing
-- needs: role pg_read_all_stats
-- default: min_sessions = 5
-- looked at: SELECT count(*) || ' sessions in a statement' FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active'
SELECT 'warn' AS severity, format('%s: %s', f.wait_event_type, f.wait_event) AS object,
       format('%s of %s sessions in a statement wait for %s (%s) now, the longest statement among them for %s s%s', f.sessions, f.active, f.wait_event, f.wait_event_type, round(f.seconds::numeric, 1),
              CASE f.wait_event_type WHEN 'Lock' THEN '; blocked_session says for whom' WHEN 'IO' THEN ': the disk is the limit now'
                                     WHEN 'LWLock' THEN ': they stand in one another''s way inside the server' ELSE '' END) AS detail,
       jsonb_build_object('type', f.wait_event_type, 'event', f.wait_event, 'sessions', f.sessions, 'active', f.active, 'seconds', f.seconds) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT a.wait_event_type, a.wait_event, count(*) AS sessions, max(extract(epoch FROM clock_timestamp() - a.query_start)) AS seconds,
             sum(count(*)) OVER () AS active
      FROM pg_stat_activity a
      WHERE a.backend_type = 'client backend' AND a.state = 'active' AND a.pid <> pg_backend_pid()
      GROUP BY 1, 2) f
-- A session that waits for its client waits for nothing here.
WHERE f.wait_event_type IS NOT NULL AND f.wait_event_type <> 'Client' AND f.sessions >= {min_sessions}
ORDER BY f.sessions DESC, 2
