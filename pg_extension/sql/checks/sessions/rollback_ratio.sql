-- title: Many transactions roll back
-- needs: setting track_counts
-- default: min_transactions = 1000
-- default: min_percent = 10
-- default: warn_percent = 30
-- looked at: SELECT xact_commit + xact_rollback || ' transactions' FROM pg_stat_database WHERE datname = current_database()
SELECT CASE WHEN f.percent >= {warn_percent} THEN 'warn' ELSE 'info' END AS severity,
       quote_ident(f.datname) AS object,
       format('%s of %s transactions rolled back (%s %%): errors, or clients that do so on purpose', f.xact_rollback, f.whole, round(f.percent)) AS detail,
       jsonb_build_object('rollbacks', f.xact_rollback, 'transactions', f.whole) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT d.*, d.xact_commit + d.xact_rollback AS whole, 100.0 * d.xact_rollback / nullif(d.xact_commit + d.xact_rollback, 0) AS percent
      FROM pg_stat_database d WHERE d.datname = current_database()) f
WHERE f.whole >= {min_transactions} AND f.percent >= {min_percent}
