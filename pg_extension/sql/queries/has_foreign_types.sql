-- Whether a type exists whose input function may run code of a role other than the bootstrap superuser and $1 (the
-- current role, NULL for a superuser): domains with checks, base and range types.
SELECT EXISTS (
    SELECT 1
    FROM pg_type t
    WHERE t.oid >= 16384
      AND t.typowner <> 10
      AND t.typowner IS DISTINCT FROM $1
      AND (
          (t.typtype = 'd' AND EXISTS (SELECT 1 FROM pg_constraint c WHERE c.contypid = t.oid))
          OR t.typtype IN ('r', 'm')
          OR (t.typtype = 'b' AND t.typelem = 0)
      )
)
