-- title: Table that was never analyzed
-- uses: relations
-- needs: primary, setting track_counts
-- default: min_rows = 1000
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'warn' AS severity, r.object,
       format('about %s rows, and nobody has counted what is in its columns: the planner guesses', r.live_rows) AS detail,
       jsonb_build_object('rows', r.live_rows) AS evidence,
       format('ANALYZE %s', r.object) AS fix_sql,
       jsonb_build_object('kind', 'analyze', 'target', r.object, 'options', jsonb_build_object()) AS fix_job,
       'high' AS confidence
FROM relations r
WHERE r.kind IN ('r', 'm') AND r.is_unknown AND r.live_rows >= {min_rows}
ORDER BY r.live_rows DESC, r.object
