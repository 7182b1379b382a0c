-- Of each job: how long the ten dearest statements that name its table took in the day before it ended, and have taken since, by the
-- extension's history.
SELECT j.id AS job,
       pg_catalog.sum(t.total_ms) FILTER (WHERE t.at <= j.finished_at)
           / nullif(pg_catalog.sum(t.calls) FILTER (WHERE t.at <= j.finished_at), 0)::float8 AS before_ms,
       pg_catalog.sum(t.total_ms) FILTER (WHERE t.at > j.finished_at)
           / nullif(pg_catalog.sum(t.calls) FILTER (WHERE t.at > j.finished_at), 0)::float8 AS since_ms
FROM pitcrew.jobs AS j
JOIN pg_catalog.pg_class AS c ON c.oid = j.target::oid
CROSS JOIN LATERAL (
    SELECT q.queryid FROM pitcrew.slow_queries AS q
    WHERE q.query ~ ('\m' || pg_catalog.regexp_replace(c.relname::text, '(\W)', '\\\1', 'g') || '\M')
    ORDER BY q.total_ms DESC LIMIT 10
) AS named
CROSS JOIN LATERAL pitcrew.query_trend(named.queryid, j.finished_at - interval '1 day') AS t
WHERE j.id = ANY ($1::bigint[])
GROUP BY j.id
