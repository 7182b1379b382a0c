-- title: A line of the configuration means nothing
-- looked at: SELECT (SELECT count(*) FROM pg_file_settings) || ' settings and ' || (SELECT count(*) FROM pg_hba_file_rules) || ' lines of pg_hba.conf'
SELECT 'warn' AS severity, f.place AS object, format('%s: with the next restart the server may not come up', f.error) AS detail,
       jsonb_build_object('error', f.error) AS evidence, NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT CASE WHEN s.name IS NULL THEN format('%s line %s', regexp_replace(s.sourcefile, '.*/', ''), s.sourceline) ELSE s.name END AS place, s.error
      FROM pg_file_settings s
      WHERE s.error IS NOT NULL
        -- One that only waits for a restart is another check's: its value is right.
        AND NOT EXISTS (SELECT 1 FROM pg_settings p WHERE p.name = s.name AND p.pending_restart)
      UNION ALL
      SELECT format('pg_hba.conf line %s', h.line_number), h.error FROM pg_hba_file_rules h WHERE h.error IS NOT NULL) f
ORDER BY 2
