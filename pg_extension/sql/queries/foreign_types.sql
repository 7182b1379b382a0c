-- Types whose values may run code of a role other than the bootstrap superuser and $1 (the current role, NULL for a superuser) when they are
-- made, compared or turned into something else: domains with checks, base and range types, those with a cast by a
-- function, whoever's those are whose functions are another role's, and what is made of one: arrays, domains, ranges and rows.
WITH RECURSIVE functions (oid) AS (
    SELECT p.oid FROM pg_proc p WHERE p.proowner <> 10 AND p.proowner IS DISTINCT FROM $1
),
found (oid) AS (
    SELECT t.oid
    FROM pg_type t
    WHERE t.oid >= 16384
      AND t.typowner <> 10
      AND t.typowner IS DISTINCT FROM $1
      AND (
          (t.typtype = 'd' AND EXISTS (SELECT 1 FROM pg_constraint c WHERE c.contypid = t.oid))
          OR t.typtype IN ('r', 'm')
          OR (t.typtype = 'b' AND t.typelem = 0)
          OR EXISTS (SELECT 1 FROM pg_cast c WHERE c.castsource = t.oid AND c.castfunc <> 0)
      )
    UNION
    SELECT c.contypid
    FROM pg_constraint c
    JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = c.oid
    LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN functions f ON f.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
    WHERE c.contypid <> 0
    UNION
    SELECT r.rngtypid FROM pg_range r JOIN functions f ON f.oid IN (r.rngcanonical, r.rngsubdiff)
    UNION
    SELECT c.castsource FROM pg_cast c JOIN functions f ON f.oid = c.castfunc WHERE c.castsource >= 16384
    UNION
    SELECT u.oid
    FROM found f
    CROSS JOIN LATERAL (
        SELECT t.oid FROM pg_type t WHERE t.typelem = f.oid OR t.typbasetype = f.oid
        UNION ALL
        SELECT r.rngtypid FROM pg_range r WHERE r.rngsubtype = f.oid
        UNION ALL
        SELECT r.rngmultitypid FROM pg_range r WHERE r.rngtypid = f.oid
        UNION ALL
        SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.atttypid = f.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0
    ) u
)
SELECT oid FROM found
