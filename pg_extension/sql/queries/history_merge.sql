-- Makes the tick $2 stand for the ticks $1, of which it is the last.
UPDATE pitcrew.history_ticks t
SET began = m.began, merged = m.merged, gaps = m.gaps, left_out = m.left_out, samples = m.samples,
    dropped_samples = m.dropped_samples, bytes = pitcrew.history_tick_bytes(t.id)
FROM (SELECT min(h.began) AS began, sum(h.merged)::int AS merged, max(h.left_out) AS left_out, sum(h.samples)::int AS samples,
             sum(h.dropped_samples)::bigint AS dropped_samples,
             (SELECT coalesce(array_agg(DISTINCT g.gap), '{}')
              FROM pitcrew.history_ticks o CROSS JOIN unnest(o.gaps) g (gap) WHERE o.id = ANY ($1)) AS gaps
      FROM pitcrew.history_ticks h WHERE h.id = ANY ($1)) m
WHERE t.id = $2
