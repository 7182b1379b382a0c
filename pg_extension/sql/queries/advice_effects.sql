-- What the indexes that are there did for the statements that they were to help, from $1 calls on both sides on; from $2 percent
-- less time a call on it is verified. Counters that fell were reset, and count from there. {statements}: queryid, calls, total_ms.
WITH counted AS (
    SELECT a.cache_key, b.queryid, b.calls AS calls_before, b.total_ms / b.calls AS mean_before,
           CASE WHEN s.calls < b.calls THEN s.calls ELSE s.calls - b.calls END AS calls_after,
           CASE WHEN s.calls < b.calls THEN s.total_ms ELSE s.total_ms - b.total_ms END AS ms_after
    FROM pitcrew.advice a
    CROSS JOIN LATERAL jsonb_to_recordset(a.counted) b (queryid bigint, calls bigint, total_ms double precision)
    JOIN {statements} s ON s.queryid = b.queryid
    WHERE a.state = 'applied' AND b.calls >= $1
),
effects AS (
    SELECT cache_key, 100 * (1 - sum(ms_after) / nullif(sum(calls_after * mean_before), 0)) AS saved,
           jsonb_agg(jsonb_build_object('queryid', queryid, 'mean_ms_before', mean_before, 'mean_ms_after', ms_after / calls_after,
                                        'calls_before', calls_before, 'calls_after', calls_after) ORDER BY queryid) AS effect
    FROM counted WHERE calls_after >= $1 GROUP BY cache_key
)
UPDATE pitcrew.advice a SET
    saved_percent = e.saved, effect = e.effect,
    state = CASE WHEN e.saved >= $2 THEN 'verified' ELSE a.state END,
    verified_at = CASE WHEN e.saved >= $2 THEN clock_timestamp() END
FROM effects e
WHERE e.cache_key = a.cache_key AND e.effect IS DISTINCT FROM a.effect
