-- title: pg_stat_statements forgets statements
-- needs: extension pg_stat_statements
-- default: min_count = 10
-- looked at: SELECT dealloc || ' evictions' FROM {pg_stat_statements}.pg_stat_statements_info
SELECT 'info' AS severity, 'pg_stat_statements.max' AS object,
       format('it made room %s times since %s, each time by forgetting the 5 %% that ran least: figures of statements are lower than the truth (pg_stat_statements.max = %s)', f.dealloc, f.stats_reset,
              current_setting('pg_stat_statements.max')) AS detail,
       jsonb_build_object('evictions', f.dealloc, 'since', f.stats_reset, 'pg_stat_statements.max', current_setting('pg_stat_statements.max')) AS evidence,
       format('ALTER SYSTEM SET pg_stat_statements.max = %s', 2 * current_setting('pg_stat_statements.max')::int) AS fix_sql, NULL AS fix_job, 'medium' AS confidence
FROM {pg_stat_statements}.pg_stat_statements_info f
WHERE f.dealloc >= {min_count}
