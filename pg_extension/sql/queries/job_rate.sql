-- Milliseconds a byte of the last 20 finished jobs of kind $1 (with VACUUM FULL or without, $2), as a median, and how
-- many there were.
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY j.ms / j.bytes), count(*)
FROM (
    SELECT extract(epoch FROM duration)::float8 * 1000 AS ms, (before->>'bytes')::float8 AS bytes
    FROM pitcrew.jobs
    WHERE kind = $1 AND state = 'done' AND coalesce(options->'full', 'false') = to_jsonb($2)
      AND (before->>'bytes')::float8 > 0
    ORDER BY id DESC
    LIMIT 20
) j
