-- title: Table full of dead rows
-- uses: relations
-- needs: primary, setting track_counts
-- default: min_rows = 10000
-- default: min_percent = 20
-- default: warn_percent = 40
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT CASE WHEN f.percent >= {warn_percent} THEN 'warn' ELSE 'info' END AS severity,
       f.object,
       format('%s of %s row versions (%s %%) are dead; last vacuum: %s',
              f.dead_rows, f.live_rows + f.dead_rows, round(f.percent), coalesce(f.last_vacuum::text, 'never')) AS detail,
       jsonb_build_object('dead_rows', f.dead_rows, 'live_rows', f.live_rows, 'last_vacuum', f.last_vacuum) AS evidence,
       format('VACUUM (ANALYZE) %s', f.object) AS fix_sql,
       jsonb_build_object('kind', 'vacuum', 'target', f.object, 'options', jsonb_build_object('analyze', true)) AS fix_job,
       'high' AS confidence
FROM (SELECT r.*, 100.0 * r.dead_rows / nullif(r.live_rows + r.dead_rows, 0) AS percent
      FROM relations r WHERE r.kind IN ('r', 'm')) f
WHERE f.dead_rows >= {min_rows} AND f.percent >= {min_percent}
ORDER BY f.dead_rows DESC
