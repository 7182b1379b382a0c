-- title: Statement whose planning costs more than its run
-- uses: statements
-- needs: extension pg_stat_statements, role pg_read_all_stats, setting pg_stat_statements.track_planning
-- default: min_plans = 1000
-- default: min_ratio = 1
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || s.queryid AS object,
       format('%s ms to plan and %s ms to run, %s plans: as a prepared statement it need not be planned each time: %s', round((s.plan_ms / s.plans)::numeric, 3),
              round((s.total_ms / s.calls)::numeric, 3), s.plans, s.query) AS detail,
       jsonb_build_object('queryid', s.queryid, 'plans', s.plans, 'plan_ms', s.plan_ms, 'total_ms', s.total_ms) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM statements s
WHERE s.plans >= {min_plans} AND s.plan_ms / s.plans >= {min_ratio} * s.total_ms / s.calls
ORDER BY s.plan_ms DESC
