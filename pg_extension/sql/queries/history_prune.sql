-- Forgets objects of which nothing is kept any more and which are not there.
DELETE FROM pitcrew.history_objects o
USING (SELECT min(t.began) AS began FROM pitcrew.history_ticks t) oldest
WHERE o.changed_at < oldest.began
  AND (o.kind = 'w' OR o.gone_at < oldest.began
       OR o.kind = 's' AND NOT EXISTS (SELECT 1 FROM {statements} s WHERE s.queryid::text = o.key))
