-- title: Queries of this standby that replay cancelled
-- needs: standby
-- default: min_count = 1
-- looked at: SELECT count(*) || ' databases' FROM pg_stat_database_conflicts
SELECT 'warn' AS severity, quote_ident(f.datname) AS object,
       format('replay cancelled %s queries here: %s for rows that vacuum removed, %s for locks, %s for pinned pages, %s for tablespaces, %s in deadlocks', f.conflicts, f.confl_snapshot,
              f.confl_lock, f.confl_bufferpin, f.confl_tablespace, f.confl_deadlock)
           || CASE WHEN f.confl_snapshot > 0 AND current_setting('hot_standby_feedback') = 'off'
                   THEN '; hot_standby_feedback would keep those rows, at the price of bloat on the primary' ELSE '' END AS detail,
       jsonb_build_object('conflicts', f.conflicts, 'snapshot', f.confl_snapshot, 'lock', f.confl_lock, 'bufferpin', f.confl_bufferpin,
                          'tablespace', f.confl_tablespace, 'deadlock', f.confl_deadlock) AS evidence,
       CASE WHEN f.confl_snapshot > 0 AND current_setting('hot_standby_feedback') = 'off'
            THEN E'ALTER SYSTEM SET hot_standby_feedback = on;\nSELECT pg_reload_conf()' END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT c.*, c.confl_tablespace + c.confl_lock + c.confl_snapshot + c.confl_bufferpin + c.confl_deadlock AS conflicts FROM pg_stat_database_conflicts c) f
WHERE f.conflicts >= {min_count}
ORDER BY f.conflicts DESC, 2
