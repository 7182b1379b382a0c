-- How many connections the database's clients need, from two samples of what the server counts (Little's law).
CREATE FUNCTION pitcrew.pool_sample() RETURNS jsonb
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- Without this a transaction sees the counters of its first look again.
    SELECT pg_stat_clear_snapshot();
    SELECT jsonb_build_object('at', clock_timestamp(), 'database', d.datname, 'reset', d.stats_reset,
                              'active_ms', d.active_time, 'idle_in_transaction_ms', d.idle_in_transaction_time,
                              'session_ms', d.session_time)
    FROM pg_stat_database d WHERE d.datname = current_database()
$$;
COMMENT ON FUNCTION pitcrew.pool_sample() IS
    'What the sessions of this database did so far, to be given to pitcrew.pool_advice() some minutes later.';

CREATE FUNCTION pitcrew.pool_advice(before jsonb) RETURNS TABLE (
    seconds double precision, busy double precision, busy_now bigint, connections bigint, pool_size integer,
    wasted double precision, max_connections integer, detail text
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    WITH sample AS (SELECT pitcrew.pool_sample() AS after),
    rates AS (
        SELECT extract(epoch FROM (s.after ->> 'at')::timestamptz - (before ->> 'at')::timestamptz)::float8 AS seconds,
               ((s.after ->> 'active_ms')::float8 + (s.after ->> 'idle_in_transaction_ms')::float8
                   - (before ->> 'active_ms')::float8 - (before ->> 'idle_in_transaction_ms')::float8) / 1000 AS busy_seconds,
               ((s.after ->> 'session_ms')::float8 - (before ->> 'session_ms')::float8) / 1000 AS session_seconds,
               (before ->> 'database') IS DISTINCT FROM (s.after ->> 'database') AS is_foreign,
               (before ->> 'reset') IS DISTINCT FROM (s.after ->> 'reset') AS is_reset
        FROM sample s
    ),
    verdict AS (
        SELECT r.*, r.busy_seconds / nullif(r.seconds, 0) AS busy, r.session_seconds / nullif(r.seconds, 0) AS open,
               CASE WHEN r.seconds IS NULL OR r.busy_seconds IS NULL OR r.session_seconds IS NULL THEN 'skipped: that is no sample of pitcrew.pool_sample()'
                    WHEN r.is_foreign THEN 'skipped: that sample is of another database'
                    WHEN r.is_reset OR r.busy_seconds < 0 OR r.session_seconds < 0 THEN 'skipped: the statistics were reset since that sample; take another one'
                    WHEN r.seconds < 1 THEN 'skipped: less than a second has passed since that sample; ask again later' END AS reason
        FROM rates r
    ),
    now AS (
        SELECT count(*) AS connections, count(*) FILTER (WHERE a.state <> 'idle') AS busy_now
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
    ),
    advice AS (
        SELECT v.*, n.*, current_setting('max_connections')::int AS max_connections,
               -- The mean and three deviations of arrivals that come by chance, at least those that are busy now (their statements count
               -- when they end) and one, at most what users may have.
               CASE WHEN v.reason IS NULL
                    THEN greatest(1, least(greatest(ceil(v.busy + 3 * sqrt(v.busy)), n.busy_now),
                                           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                                               - coalesce(current_setting('reserved_connections', true)::int, 0)))::int END AS pool_size
        FROM verdict v, now n
    )
    SELECT a.seconds, CASE WHEN a.reason IS NULL THEN a.busy END, a.busy_now, a.connections, a.pool_size,
           CASE WHEN a.reason IS NULL THEN greatest(a.open - a.busy, 0) END, a.max_connections,
           coalesce(a.reason, format('%s sessions were busy on average over %s s, transactions that waited for their client included; pools of %s connections in all are enough, and %s of those that were open did nothing. A statement counts when it ends',
                                     round(a.busy::numeric, 2), round(a.seconds::numeric), a.pool_size, round(greatest(a.open - a.busy, 0)::numeric, 1)))
    FROM advice a
$$;
COMMENT ON FUNCTION pitcrew.pool_advice(jsonb) IS
    'How many connections this database needs, from a sample that pitcrew.pool_sample() took before: busy = mean number of sessions in a statement or a transaction, pool_size = all pools together, wasted = connections that were open and idle.';
