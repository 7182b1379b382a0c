-- What makes an existing schema `pitcrew` unfit for the extension; NULL when it is fit.
SELECT (
SELECT x.why
FROM (
    SELECT 1 AS rank, 'it belongs to role ' || pg_get_userbyid(n.nspowner) AS why
    FROM pg_namespace n
    WHERE n.nspname = 'pitcrew'
      AND n.nspowner <> (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
    UNION ALL
    SELECT 2, 'it already holds ' || pg_describe_object(o.classid, o.oid, 0)
    FROM (
        SELECT 'pg_class'::regclass AS classid, c.oid, c.relnamespace AS nsp FROM pg_class c WHERE c.relkind NOT IN ('i', 'I')
        UNION ALL SELECT 'pg_proc'::regclass, p.oid, p.pronamespace FROM pg_proc p
        UNION ALL SELECT 'pg_operator'::regclass, p.oid, p.oprnamespace FROM pg_operator p
        UNION ALL SELECT 'pg_type'::regclass, t.oid, t.typnamespace FROM pg_type t WHERE t.typrelid = 0 AND t.typelem = 0
    ) o
    JOIN pg_namespace n ON n.oid = o.nsp AND n.nspname = 'pitcrew'
    WHERE NOT EXISTS (
        SELECT 1 FROM pg_depend d
        WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype IN ('e', 'i', 'a')
    )
) x
ORDER BY x.rank
LIMIT 1
)
