-- Forgets the ticks $1, the oldest ones, and what happened up to then; says so.
WITH ticks AS (DELETE FROM pitcrew.history_ticks WHERE id = ANY ($1) RETURNING at, merged),
samples AS (DELETE FROM pitcrew.history_samples WHERE tick = ANY ($1)),
events AS (DELETE FROM pitcrew.history_events WHERE at <= (SELECT max(t.at) FROM ticks t))
UPDATE pitcrew.history_state
SET forgotten_ticks = forgotten_ticks + (SELECT sum(t.merged) FROM ticks t),
    forgotten_before = (SELECT max(t.at) FROM ticks t)
