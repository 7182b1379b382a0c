-- Tells what happened to relations: $3 objects, $4 what. $1: begin, $2: end of the tick, $5: most events.
INSERT INTO pitcrew.history_events (at, began, event, object, parent, old, new)
SELECT $2, $1, CASE o.kind WHEN 'i' THEN 'index ' ELSE 'table ' END || e.event, o.key, o.parent, NULL, o.label
FROM unnest($3, $4) e (id, event)
JOIN pitcrew.history_objects o ON o.id = e.id
ORDER BY o.kind DESC, o.key
LIMIT $5
