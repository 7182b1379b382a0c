-- The ticks of each statement since $1: object, begins, ends, calls, microseconds, and $2 in seconds since 1970.
SELECT u.object, array_agg(extract(epoch FROM t.began)::float8 ORDER BY t.id), array_agg(extract(epoch FROM t.at)::float8 ORDER BY t.id),
       array_agg(u.calls ORDER BY t.id), array_agg(u.exec_us ORDER BY t.id), extract(epoch FROM $2)::float8
FROM pitcrew.history_ticks t
JOIN pitcrew.history_samples s ON s.tick = t.id AND s.kind = 's'
CROSS JOIN cardinality(s.objects) n
CROSS JOIN LATERAL unnest(s.objects, s.numbers[1 : n], s.numbers[n + 1 : 2 * n]) u (object, calls, exec_us)
WHERE t.at > $1 AND u.calls > 0
GROUP BY u.object
HAVING max(t.at) > $2
