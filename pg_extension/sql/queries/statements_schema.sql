-- The schema of pg_stat_statements, quoted, where the server runs it and its functions are the C functions that came with it.
SELECT quote_ident(n.nspname)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
  AND current_setting('pg_stat_statements.max', true) IS NOT NULL
  AND 2 = (SELECT count(*) FROM pg_proc p
           WHERE p.pronamespace = n.oid
             AND (p.proname = 'pg_stat_statements' AND p.proargtypes[0] = 'boolean'::regtype AND p.pronargs = 1
                  OR p.proname = 'pg_stat_statements_info' AND p.pronargs = 0)
             AND p.prolang = (SELECT l.oid FROM pg_language l WHERE l.lanname = 'c'))
