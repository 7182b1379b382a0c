-- Why the role of load tests may change something, one row a reason; none where it may only read. Of whoever has logged in and
-- every role that a statement could SET ROLE to: what a plan says cannot take away what privileges do not give.
WITH roles AS (
  SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication
  FROM pg_catalog.pg_roles r
  WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
), reasons AS (
  SELECT 1 AS rank, pg_catalog.format('%I is a superuser, or may create roles or databases or replicate', r.rolname) AS reason
  FROM roles r WHERE r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
  UNION ALL
  SELECT 2, pg_catalog.format('it is a member of %I', r.rolname)
  FROM roles r WHERE r.rolname ~ '^pg_'
    AND r.rolname NOT IN ('pg_read_all_data', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_monitor')
  UNION ALL
  -- An owner may drop and alter, and grant itself the rest.
  SELECT 3, pg_catalog.format('%I owns %s', r.rolname, pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid))
  FROM roles r JOIN pg_catalog.pg_shdepend d ON d.refobjid = r.oid AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  WHERE d.deptype = 'o'
    AND d.dbid IN (0, (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()))
  UNION ALL
  SELECT 4, pg_catalog.format('%I may create in the database', r.rolname)
  FROM roles r WHERE pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE')
  UNION ALL
  SELECT 5, pg_catalog.format('%I may create in the schema %I', r.rolname, n.nspname)
  FROM roles r, pg_catalog.pg_namespace n
  WHERE n.nspname !~ '^pg_(temp|toast)' AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
  UNION ALL
  SELECT 6, pg_catalog.format('%I may write %I.%I', r.rolname, n.nspname, c.relname)
  FROM roles r, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  -- pg_settings says that everybody may update it: that is SET.
  WHERE n.nspname !~ '^pg_(temp|toast)' AND NOT (n.nspname = 'pg_catalog' AND c.relname = 'pg_settings') AND CASE
    WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(r.oid, c.oid, 'USAGE, UPDATE')
    WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') THEN
      pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
      OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')
    ELSE false
  END
  UNION ALL
  -- Whether it may use the schema does not matter: a view or a function with a parsed body calls it without asking that.
  SELECT 7, pg_catalog.format('%I may call %I.%I, which acts with another role''s privileges', r.rolname, n.nspname, p.proname)
  FROM roles r, pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prosecdef AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
  UNION ALL
  SELECT 8, pg_catalog.format('%I may call %I.%I, which connects to other servers', r.rolname, n.nspname, p.proname)
  FROM roles r, pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.proname ~ '^dblink' AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
  UNION ALL
  -- lo_export, pg_reload_conf and their like are nobody's unless they are given; those of pg_monitor only read.
  SELECT 9, pg_catalog.format('%I was given %I.%I, which not everybody may call', r.rolname, n.nspname, p.proname)
  FROM roles r, pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace,
    LATERAL pg_catalog.aclexplode(p.proacl) g
  WHERE n.nspname = 'pg_catalog' AND r.rolname !~ '^pg_' AND g.grantee = r.oid
  UNION ALL
  SELECT 10, pg_catalog.format('%I may write the large object %s', coalesce(r.rolname, 'everybody'), l.oid)
  FROM pg_catalog.pg_largeobject_metadata l, LATERAL pg_catalog.aclexplode(l.lomacl) g LEFT JOIN roles r ON r.oid = g.grantee
  WHERE g.privilege_type = 'UPDATE' AND (r.oid IS NOT NULL OR g.grantee = 0)
)
SELECT reason FROM reasons ORDER BY rank, reason LIMIT 1
