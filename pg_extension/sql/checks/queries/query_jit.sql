-- title: Statement that is compiled for longer than it is worth
-- uses: statements
-- needs: version 15, extension pg_stat_statements, role pg_read_all_stats
-- default: min_jit_ms = 10000
-- default: min_percent = 25
-- looked at: SELECT count(*) || ' statements' FROM statements
SELECT 'info' AS severity, 'query ' || s.queryid AS object,
       format('%s of its %s ms (%s %%) went into compiling it, %s ms a call at jit_above_cost = %s: %s', round(j.jit_ms), round(s.total_ms), round(least(100 * j.jit_ms / s.total_ms, 100)),
              round((j.jit_ms / s.calls)::numeric, 2), current_setting('jit_above_cost'), s.query) AS detail,
       jsonb_build_object('queryid', s.queryid, 'calls', s.calls, 'jit_ms', j.jit_ms, 'total_ms', s.total_ms, 'functions', j.functions) AS evidence,
       -- Only what the planner takes for ten times as much work is compiled then.
       CASE WHEN current_setting('jit_above_cost')::float8 >= 0 THEN format('ALTER DATABASE %I SET jit_above_cost = %s', current_database(), 10 * greatest(current_setting('jit_above_cost')::float8, 10000)) END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM statements s
JOIN (SELECT p.queryid, sum(p.jit_generation_time + p.jit_inlining_time + p.jit_optimization_time + p.jit_emission_time) AS jit_ms, sum(p.jit_functions) AS functions
      FROM {pg_stat_statements}.pg_stat_statements(false) p
      WHERE p.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      GROUP BY p.queryid) j ON j.queryid = s.queryid
WHERE j.jit_ms > 0 AND j.jit_ms >= {min_jit_ms} AND 100 * j.jit_ms >= {min_percent} * s.total_ms
ORDER BY j.jit_ms DESC
