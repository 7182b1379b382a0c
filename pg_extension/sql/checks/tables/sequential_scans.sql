-- title: Large table that is read from end to end
-- uses: relations
-- needs: setting track_counts
-- default: min_scans = 100
-- default: min_rows = 10000
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'info' AS severity, r.object,
       format('%s sequential scans read %s rows each on average; %s rows are in it', r.seq_scans, r.seq_rows / r.seq_scans, round(r.tuples)) AS detail,
       jsonb_build_object('scans', r.seq_scans, 'rows_read', r.seq_rows, 'rows', r.tuples) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM relations r
WHERE r.seq_scans >= {min_scans} AND r.seq_rows / greatest(r.seq_scans, 1) >= {min_rows}
ORDER BY r.seq_rows DESC, r.object
