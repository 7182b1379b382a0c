-- Keeps the counters of the objects $1: $2, one object's after the other's, $3 each.
UPDATE pitcrew.history_objects o
SET last = ($2::bigint[])[(u.place - 1) * $3 + 1 : u.place * $3], changed_at = clock_timestamp()
FROM unnest($1) WITH ORDINALITY u (id, place)
WHERE o.id = u.id
