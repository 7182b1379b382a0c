-- Why the role of load tests may change something, one row a reason; none where it may only read. Of whoever has logged in and
-- every role that a statement could SET ROLE to: what a plan says cannot take away what privileges do not give.
WITH roles AS (
  SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication
  FROM pg_catalog.pg_roles r
  WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
), schemas AS (
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n
  WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
), reasons AS (
  SELECT 1 AS rank, pg_catalog.format('%I is a superuser, or may create roles or databases or replicate', r.rolname) AS reason
  FROM roles r WHERE r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
  UNION ALL
  SELECT 2, pg_catalog.format('it is a member of %I', r.rolname)
  FROM roles r WHERE r.rolname ~ '^pg_'
    AND r.rolname NOT IN ('pg_read_all_data', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_monitor')
  UNION ALL
  SELECT 3, pg_catalog.format('%I may create in the database', r.rolname)
  FROM roles r WHERE pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE')
  UNION ALL
  SELECT 4, pg_catalog.format('%I may create in the schema %I', r.rolname, n.nspname)
  FROM roles r, schemas n WHERE pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
  UNION ALL
  SELECT 5, pg_catalog.format('%I may write %I.%I', r.rolname, n.nspname, c.relname)
  FROM roles r, pg_catalog.pg_class c JOIN schemas n ON n.oid = c.relnamespace
  WHERE CASE
    WHEN c.relowner = r.oid THEN true
    WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(r.oid, c.oid, 'USAGE, UPDATE')
    WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') THEN
      pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
      OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')
    ELSE false
  END
  UNION ALL
  SELECT 6, pg_catalog.format('%I may call %I.%I, which acts with another role''s privileges', r.rolname, n.nspname, p.proname)
  FROM roles r, pg_catalog.pg_proc p JOIN schemas n ON n.oid = p.pronamespace
  WHERE p.prosecdef AND NOT pg_catalog.pg_has_role(session_user, p.proowner, 'MEMBER')
    AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
  UNION ALL
  SELECT 7, pg_catalog.format('%I may call %I.%I, which connects to other servers', r.rolname, n.nspname, p.proname)
  FROM roles r, pg_catalog.pg_proc p JOIN schemas n ON n.oid = p.pronamespace
  WHERE p.proname ~ '^dblink' AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
)
SELECT reason FROM reasons ORDER BY rank, reason LIMIT 1
