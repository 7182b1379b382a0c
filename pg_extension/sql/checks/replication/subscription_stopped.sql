-- title: Subscription that does not run
-- needs: primary
-- looked at: SELECT count(*) || ' subscriptions' FROM pg_subscription
SELECT 'warn' AS severity, 'subscription ' || quote_ident(f.subname) AS object,
       CASE WHEN NOT f.subenabled THEN 'it is disabled: the publisher keeps WAL for it, and its tables grow old'
            WHEN f.pid IS NULL THEN 'it is enabled and no worker applies it: the server''s log says why'
            ELSE 'its worker could not apply a change' END
           || format('; %s errors while applying and %s while copying so far', f.apply_error_count, f.sync_error_count) AS detail,
       jsonb_build_object('enabled', f.subenabled, 'pid', f.pid, 'apply_errors', f.apply_error_count, 'sync_errors', f.sync_error_count) AS evidence,
       CASE WHEN NOT f.subenabled THEN format('ALTER SUBSCRIPTION %I ENABLE', f.subname) END AS fix_sql, NULL AS fix_job,
       CASE WHEN NOT f.subenabled THEN 'low' END AS confidence
FROM (SELECT s.subname, s.subenabled, w.pid, coalesce(e.apply_error_count, 0) AS apply_error_count, coalesce(e.sync_error_count, 0) AS sync_error_count
      FROM pg_subscription s
      LEFT JOIN pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL
      LEFT JOIN pg_stat_subscription_stats e ON e.subid = s.oid
      WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) f
WHERE NOT f.subenabled OR f.pid IS NULL
ORDER BY 2
