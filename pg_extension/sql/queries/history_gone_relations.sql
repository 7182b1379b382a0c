-- Marks tables and indexes that are not there any more, or are called otherwise now, and tells of it. $1: begin, $2: end of the tick.
WITH gone AS (
    UPDATE pitcrew.history_objects o SET gone_at = $2
    WHERE o.kind IN ('t', 'i') AND o.gone_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = o.oid AND quote_ident(n.nspname) || '.' || quote_ident(c.relname) = o.key)
    RETURNING o.kind, o.key, o.oid, o.parent, o.label
)
INSERT INTO pitcrew.history_events (at, began, event, object, parent, old, new)
SELECT $2, $1, CASE g.kind WHEN 'i' THEN 'index ' ELSE 'table ' END || CASE WHEN c.oid IS NULL THEN 'dropped' ELSE 'renamed' END,
       g.key, g.parent, g.label, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM gone g
LEFT JOIN pg_class c ON c.oid = g.oid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY g.kind DESC, g.key
LIMIT $3
