-- title: Sessions that did not end in order
-- needs: setting track_counts
-- default: min_count = 10
-- default: min_percent = 5
-- looked at: SELECT sessions || ' sessions' FROM pg_stat_database WHERE datname = current_database()
SELECT CASE WHEN f.sessions_fatal > 0 THEN 'warn' ELSE 'info' END AS severity,
       quote_ident(f.datname) AS object,
       format('of %s sessions %s were lost by their client, %s ended by a fatal error, %s were terminated', f.sessions, f.sessions_abandoned, f.sessions_fatal, f.sessions_killed) AS detail,
       jsonb_build_object('sessions', f.sessions, 'abandoned', f.sessions_abandoned, 'fatal', f.sessions_fatal, 'killed', f.sessions_killed) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT d.*, d.sessions_abandoned + d.sessions_fatal + d.sessions_killed AS ended FROM pg_stat_database d WHERE d.datname = current_database()) f
WHERE f.ended >= {min_count} AND 100.0 * f.ended / nullif(f.sessions, 0) >= {min_percent}
