-- The ticks since $1, oldest first: begin and end in seconds since 1970, the statements that ran in it, their calls and then
-- their microseconds; and $2 in seconds since 1970. One row a tick: as rows of their own they cost more than all else.
SELECT extract(epoch FROM t.began)::float8, extract(epoch FROM t.at)::float8, s.objects, s.numbers[1 : 2 * cardinality(s.objects)],
       extract(epoch FROM $2)::float8
FROM pitcrew.history_ticks t
JOIN pitcrew.history_samples s ON s.tick = t.id AND s.kind = 's'
WHERE t.at > $1
ORDER BY t.id
