-- Every tick of tables and indexes, oldest first: its end, whether that is after $1, the relations that changed, and their
-- numbers, one metric after the other.
SELECT t.at, t.at > $1, s.objects, s.numbers, t.id
FROM pitcrew.history_ticks t
JOIN pitcrew.history_samples s ON s.tick = t.id AND s.kind = 'r'
ORDER BY t.id
