-- Gives the relations $1 their objects, or those that they have what they are called and how they are defined now.
INSERT INTO pitcrew.history_objects AS o (kind, key, oid, parent, label, is_valid, changed_at, first_tick)
SELECT (CASE c.relkind WHEN 'i' THEN 'i' ELSE 't' END)::"char",
       quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid,
       quote_ident(tn.nspname) || '.' || quote_ident(t.relname),
       CASE WHEN i.indexrelid IS NOT NULL THEN left(pg_get_indexdef(c.oid), 1000) END,
       coalesce(i.indisvalid, true), clock_timestamp(), (SELECT max(k.id) FROM pitcrew.history_ticks k)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.oid = ANY ($1)
ON CONFLICT (kind, key) DO UPDATE
SET oid = excluded.oid, parent = excluded.parent, label = excluded.label, is_valid = excluded.is_valid, gone_at = NULL,
    first_tick = CASE WHEN o.oid = excluded.oid THEN o.first_tick ELSE excluded.first_tick END
RETURNING o.id, o.oid
