-- title: Work that spills to temporary files
-- needs: setting track_counts
-- default: min_bytes = 1073741824
-- looked at: SELECT temp_files || ' temporary files' FROM pg_stat_database WHERE datname = current_database()
SELECT 'info' AS severity, quote_ident(f.datname) AS object,
       -- A report has a work_mem of its own, so its reset_val is what others have.
       format('%s in %s temporary files since the statistics began, %s each, with work_mem = %s', pg_size_pretty(f.temp_bytes), f.temp_files,
              pg_size_pretty(f.temp_bytes / f.temp_files), (SELECT pg_size_pretty(w.reset_val::bigint * 1024) FROM pg_settings w WHERE w.name = 'work_mem')) AS detail,
       jsonb_build_object('temp_bytes', f.temp_bytes, 'temp_files', f.temp_files, 'work_mem', (SELECT pg_size_pretty(w.reset_val::bigint * 1024) FROM pg_settings w WHERE w.name = 'work_mem')) AS evidence,
       -- Every sort and hash of every session may take that much, so no more than 64 MB for all.
       CASE WHEN w.kb < w.wanted_kb THEN format('ALTER DATABASE %I SET work_mem = ''%skB''', f.datname, w.wanted_kb) END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM pg_stat_database f
CROSS JOIN LATERAL (SELECT s.reset_val::bigint AS kb, least(greatest(2 * f.temp_bytes / nullif(f.temp_files, 0) / 1024, 4096), 65536) AS wanted_kb
                    FROM pg_settings s WHERE s.name = 'work_mem') w
WHERE f.datname = current_database() AND f.temp_bytes >= {min_bytes} AND f.temp_files > 0
