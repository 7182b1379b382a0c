-- Forgets what is too much, the least recently proposed first, what is applied last; counts it.
WITH gone AS (
    DELETE FROM pitcrew.advice WHERE cache_key IN (
        SELECT cache_key FROM pitcrew.advice ORDER BY state IN ('applied', 'verified') DESC, last_proposed_at DESC OFFSET $1)
    RETURNING 1
)
UPDATE pitcrew.history_state SET forgotten_advice = forgotten_advice + (SELECT count(*) FROM gone)
WHERE EXISTS (SELECT 1 FROM gone)
