-- title: Table whose statistics are old
-- uses: relations
-- needs: primary, setting track_counts
-- default: min_rows = 1000
-- default: min_times = 2
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'warn' AS severity, f.object,
       format('%s rows changed since the last ANALYZE (%s), %s times what starts it here: the planner guesses from what was there before', f.modified,
              coalesce(f.last_analyze::text, 'never'), round((f.modified / f.due)::numeric, 1)) AS detail,
       jsonb_build_object('modified', f.modified, 'due_from', f.due, 'last_analyze', f.last_analyze) AS evidence,
       format('ANALYZE %s', f.object) AS fix_sql,
       jsonb_build_object('kind', 'analyze', 'target', f.object, 'options', jsonb_build_object()) AS fix_job,
       'high' AS confidence
FROM (SELECT r.*, greatest(r.analyze_due, 1) AS due FROM relations r WHERE r.kind IN ('r', 'm') AND r.modified >= {min_rows}) f
WHERE f.modified >= {min_times} * f.due
ORDER BY f.modified / f.due DESC, f.object
