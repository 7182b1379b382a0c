-- A function of another role than the bootstrap superuser and $2 that expressions of the relations $1, their children,
-- indexes, constraints, defaults or statistics use; with $3 also one that looks names up when it runs. NULL when there is
-- none.
WITH RECURSIVE family (oid) AS (
    SELECT r.oid FROM unnest($1) r (oid)
    UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN family f ON f.oid = i.inhparent
), parts (classid, objid) AS (
    SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i JOIN family f ON f.oid = i.indrelid
    UNION ALL
    SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c JOIN family f ON f.oid = c.conrelid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a JOIN family f ON f.oid = a.adrelid
        JOIN pg_attribute t ON t.attrelid = a.adrelid AND t.attnum = a.adnum AND t.attgenerated <> ''
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s JOIN family f ON f.oid = s.stxrelid
), functions (oid) AS (
    SELECT d.refobjid
    FROM parts p JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid
    WHERE d.refclassid = 'pg_proc'::regclass
    UNION
    SELECT o.oprcode
    FROM parts p JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid
    JOIN pg_operator o ON o.oid = d.refobjid
    WHERE d.refclassid = 'pg_operator'::regclass
)
SELECT (
    SELECT p.oid
    FROM functions f JOIN pg_proc p ON p.oid = f.oid
    WHERE p.proowner <> 10 AND p.proowner IS DISTINCT FROM $2
       OR $3 AND p.oid >= 16384 AND p.prosqlbody IS NULL AND p.prolang NOT IN (SELECT l.oid FROM pg_language l WHERE l.lanname IN ('c', 'internal'))
          AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) c WHERE c LIKE 'search\_path=%')
    ORDER BY p.oid
    LIMIT 1
)
