-- Rows a second that the history saw inserted into each table in the last day; a tick of the history that filled a table is left
-- out: $1 is the share of its rows, $2 the number, from which on it did. None where this role may not read it.
WITH ticks AS MATERIALIZED (
    SELECT t.id, extract(epoch FROM t.at - t.began)::float8 AS seconds
    FROM pitcrew.history_ticks t
    WHERE t.at > now() - interval '1 day' AND t.gaps = '{}'
)
SELECT o.oid, sum(w.inserted)::float8 / (SELECT greatest(sum(seconds), 1) FROM ticks)
FROM ticks t
JOIN pitcrew.history_samples s ON s.tick = t.id AND s.kind = 'r'
CROSS JOIN LATERAL unnest(s.objects, s.numbers[3 * cardinality(s.objects) + 1 : 4 * cardinality(s.objects)],
                          s.numbers[12 * cardinality(s.objects) + 1 : 13 * cardinality(s.objects)]) w (object, inserted, live)
JOIN pitcrew.history_objects o ON o.id = w.object AND o.kind = 't' AND o.gone_at IS NULL
WHERE w.inserted > 0 AND w.inserted < greatest($1 * w.live, $2)
GROUP BY o.oid
