-- title: Table that is due for VACUUM
-- uses: relations
-- needs: primary, setting track_counts
-- default: min_rows = 1000
-- default: min_times = 2
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'warn' AS severity, f.object,
       format('%s dead rows, %s times what starts autovacuum here (%s): it is off, blocked, or too slow; last vacuum: %s', f.dead_rows,
              round((f.dead_rows / f.due)::numeric, 1), round(f.due), coalesce(f.last_vacuum::text, 'never')) AS detail,
       jsonb_build_object('dead_rows', f.dead_rows, 'due_from', f.due, 'last_vacuum', f.last_vacuum) AS evidence,
       format('VACUUM %s', f.object) AS fix_sql,
       jsonb_build_object('kind', 'vacuum', 'target', f.object, 'options', jsonb_build_object()) AS fix_job,
       'high' AS confidence
FROM (SELECT r.*, greatest(r.vacuum_due, 1) AS due FROM relations r WHERE r.kind IN ('r', 'm') AND r.dead_rows >= {min_rows}) f
WHERE f.dead_rows >= {min_times} * f.due
ORDER BY f.dead_rows / f.due DESC, f.object
