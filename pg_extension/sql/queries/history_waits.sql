-- The objects of what sessions did: $1 keys, in their order.
WITH wanted AS (SELECT * FROM unnest($1) WITH ORDINALITY w (key, place)),
new AS (
    INSERT INTO pitcrew.history_objects (kind, key, changed_at)
    SELECT 'w', w.key, clock_timestamp() FROM wanted w
    ON CONFLICT (kind, key) DO UPDATE SET changed_at = excluded.changed_at
    RETURNING id, key
)
SELECT n.id FROM wanted w JOIN new n ON n.key = w.key ORDER BY w.place
