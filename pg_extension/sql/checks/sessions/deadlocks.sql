-- title: Deadlocks
-- needs: setting track_counts
-- default: min_count = 1
-- default: warn_per_day = 10
-- looked at: SELECT deadlocks || ' deadlocks' FROM pg_stat_database WHERE datname = current_database()
SELECT CASE WHEN f.per_day >= {warn_per_day} THEN 'warn' ELSE 'info' END AS severity,
       quote_ident(f.datname) AS object,
       format('%s since the statistics began (%s a day): each ended a transaction; sessions that lock the same rows in one order have none',
              CASE f.deadlocks WHEN 1 THEN '1 deadlock' ELSE f.deadlocks || ' deadlocks' END, round(f.per_day::numeric, 1)) AS detail,
       jsonb_build_object('deadlocks', f.deadlocks, 'per_day', f.per_day) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT d.datname, d.deadlocks,
             d.deadlocks / greatest(extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, b.stats_reset)) / 86400, 1)::float8 AS per_day
      FROM pg_stat_database d, pg_stat_bgwriter b WHERE d.datname = current_database()) f
WHERE f.deadlocks >= {min_count}
