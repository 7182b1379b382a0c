-- title: Table that grows fast
-- needs: extension pg_pitcrew, setting pitcrew.history
-- default: min_bytes = 1073741824
-- default: min_percent = 50
-- default: warn_days = 30
-- looked at: SELECT count(*) || ' tables and indexes with a history of 7 days at most' FROM pitcrew.table_growth()
SELECT CASE WHEN d.days_left < {warn_days} THEN 'warn' ELSE 'info' END AS severity, f.object,
       format('grew by %s in %s days, from %s to %s%s; %s rows were inserted and %s deleted meanwhile', pg_size_pretty(f.grown_bytes), round(f.days::numeric, 1),
              pg_size_pretty(f.bytes_before), pg_size_pretty(f.bytes),
              CASE WHEN d.days_left IS NOT NULL THEN format(', and the disk has room for %s more days of it', floor(d.days_left)) ELSE '' END, f.inserted, f.deleted) AS detail,
       jsonb_build_object('kind', f.kind, 'bytes_before', f.bytes_before, 'bytes', f.bytes, 'bytes_per_day', f.bytes_per_day, 'inserted', f.inserted,
                          'deleted', f.deleted, 'days_left', d.days_left) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT g.*, extract(epoch FROM clock_timestamp() - g.began)::float8 / 86400 AS days FROM pitcrew.table_growth() g) f
-- Of the file system with the least room, where one can be seen. Of less than a day nothing is foretold.
CROSS JOIN LATERAL (SELECT min(s.free_bytes) / nullif(f.bytes_per_day, 0) AS days_left FROM pitcrew.disk_space() s WHERE f.days >= 1 AND f.bytes_per_day > 0) d
WHERE f.grown_bytes >= {min_bytes} AND 100.0 * f.grown_bytes >= {min_percent} * f.bytes_before
ORDER BY f.grown_bytes DESC, f.object
