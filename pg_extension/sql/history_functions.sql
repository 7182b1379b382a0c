-- What is read out of the history. Numbers are packed as pitcrew.history_samples.numbers says. The planner takes what is unpacked for
-- so much that it would compile for seconds: jit = off.
CREATE FUNCTION pitcrew.history_status() RETURNS TABLE (
    ticks bigint, oldest timestamptz, newest timestamptz, bytes bigint, max_bytes bigint, forgotten_ticks bigint,
    forgotten_before timestamptz, left_out bigint, dropped_samples bigint, last_error_at timestamptz, last_error_sqlstate text,
    last_error text, detail text
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    WITH kept AS (
        SELECT count(*) AS ticks, min(t.began) AS oldest, max(t.at) AS newest, coalesce(sum(t.left_out), 0)::bigint AS left_out,
               coalesce(sum(t.dropped_samples), 0)::bigint AS dropped
        FROM pitcrew.history_ticks t
    ),
    size AS (
        SELECT sum(pg_total_relation_size(c.oid))::bigint AS bytes
        FROM pg_class c WHERE c.relnamespace = 'pitcrew'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'history\_%'
    )
    SELECT k.ticks, k.oldest, k.newest, z.bytes, m.bytes, s.forgotten_ticks, s.forgotten_before, k.left_out, k.dropped,
           e.at, e.sqlstate, e.message,
           CASE WHEN NOT (SELECT p.ok FROM pitcrew.status() p WHERE p.name = 'preloaded') THEN 'the library is not preloaded: nothing is sampled'
                WHEN pg_is_in_recovery() THEN 'this server is a replica: its primary samples'
                WHEN NOT current_setting('pitcrew.history')::boolean THEN 'switched off by pitcrew.history = off'
                WHEN e.at > coalesce(k.newest, '-infinity') THEN format('the last tick failed at %s with SQLSTATE %s: %s', e.at, e.sqlstate, e.message)
                WHEN k.ticks = 0 THEN format('the first tick is taken within %s', current_setting('pitcrew.history_interval'))
                WHEN s.forgotten_ticks > 0 THEN format('%s ticks before %s were forgotten to keep within pitcrew.history_max_size = %s',
                                                       s.forgotten_ticks, s.forgotten_before, current_setting('pitcrew.history_max_size'))
                ELSE format('everything since %s is kept', k.oldest) END
    FROM kept k CROSS JOIN size z CROSS JOIN pitcrew.history_state s
    CROSS JOIN LATERAL (SELECT pg_size_bytes(current_setting('pitcrew.history_max_size', true)) AS bytes) m
    LEFT JOIN pitcrew.history_last_error() e ON true
$$;
COMMENT ON FUNCTION pitcrew.history_status() IS
    'How much history there is, and what was left out: forgotten_ticks for want of room, left_out objects that were too many for a tick, dropped_samples sessions that found no room in shared memory. last_error is why the last tick that failed did so, since the start of the server.';

CREATE FUNCTION pitcrew.query_trend(queryid bigint, since timestamptz DEFAULT now() - interval '1 day') RETURNS TABLE (
    began timestamptz, at timestamptz, gaps text[], calls bigint, calls_per_second double precision, total_ms double precision,
    mean_ms double precision, rows bigint, hit_percent double precision, blocks_read bigint, temp_blocks bigint, wal_bytes bigint
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT pitcrew.history_visible();
    WITH own AS MATERIALIZED (
        SELECT t.id, ARRAY(SELECT s.numbers[m * cardinality(s.objects) + p] FROM generate_series(0, 7) m ORDER BY m) AS numbers
        FROM pitcrew.history_objects o
        JOIN pitcrew.history_ticks t ON t.at > $2
        JOIN pitcrew.history_samples s ON s.tick = t.id AND s.kind = 's'
        CROSS JOIN array_position(s.objects, o.id) p
        WHERE o.kind = 's' AND o.key = $1::text AND p IS NOT NULL
    )
    SELECT t.began, t.at, t.gaps, coalesce(o.numbers[1], 0),
           CASE WHEN t.gaps = '{}' THEN coalesce(o.numbers[1], 0) / nullif(extract(epoch FROM t.at - t.began)::float8, 0) END,
           coalesce(o.numbers[2], 0) / 1000.0::float8,
           o.numbers[2] / 1000.0::float8 / nullif(o.numbers[1], 0),
           coalesce(o.numbers[4], 0),
           100 * o.numbers[5]::float8 / nullif(o.numbers[5] + o.numbers[6], 0),
           coalesce(o.numbers[6], 0), coalesce(o.numbers[7], 0), coalesce(o.numbers[8], 0)
    FROM pitcrew.history_ticks t
    LEFT JOIN own o ON o.id = t.id
    WHERE t.at > $2 AND EXISTS (SELECT 1 FROM pitcrew.history_objects k WHERE k.kind = 's' AND k.key = $1::text)
    ORDER BY t.id
$$;
COMMENT ON FUNCTION pitcrew.query_trend(bigint, timestamptz) IS
    'What a statement did in each tick, oldest first; ticks in which it did not run are there with 0 calls. Where gaps says that the server forgot something, calls and times are a part of what happened and there is no rate. Needs pg_read_all_stats.';

CREATE FUNCTION pitcrew.table_growth(since timestamptz DEFAULT now() - interval '7 days') RETURNS TABLE (
    object text, kind text, began timestamptz, bytes_before bigint, bytes bigint, grown_bytes bigint, bytes_per_day double precision,
    live_rows bigint, inserted bigint, updated bigint, deleted bigint
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT o.key, CASE o.kind WHEN 'i' THEN 'index' ELSE 'table' END, b.began, g.bytes_before, g.bytes, g.bytes - g.bytes_before,
           CASE WHEN b.began < l.at - interval '1 hour' THEN 86400 * (g.bytes - g.bytes_before) / extract(epoch FROM l.at - b.began)::float8 END,
           g.live_rows, g.inserted, g.updated, g.deleted
    FROM pitcrew.history_growth($1) g
    CROSS JOIN LATERAL (SELECT greatest(g.first_at, $1) AS began) b
    JOIN pitcrew.history_objects o ON o.id = g.object AND o.gone_at IS NULL
    CROSS JOIN (SELECT max(t.at) AS at FROM pitcrew.history_ticks t) l
    WHERE b.began <= l.at
    ORDER BY g.bytes - g.bytes_before DESC, g.bytes DESC, o.key
$$;
COMMENT ON FUNCTION pitcrew.table_growth(timestamptz) IS
    'How much each table (with its TOAST) and index grew, largest growth first: bytes_before at began, bytes at the last tick, and the rows that were written meanwhile. bytes_per_day is NULL where less than an hour is known. A table that was dropped and made again, or that got another''s name, begins anew. Sizes are taken when something was read or written.';

CREATE FUNCTION pitcrew.wait_profile(since timestamptz DEFAULT now() - interval '1 hour') RETURNS TABLE (
    state text, wait_event_type text, wait_event text, queryid bigint, query text, samples bigint, sessions double precision,
    share_percent double precision
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT pitcrew.history_visible();
    WITH ticks AS MATERIALIZED (SELECT t.id, t.samples FROM pitcrew.history_ticks t WHERE t.at > $1),
    seen AS (
        SELECT u.object, sum(u.samples)::bigint AS samples
        FROM ticks t
        JOIN pitcrew.history_samples s ON s.tick = t.id AND s.kind = 'w'
        CROSS JOIN LATERAL unnest(s.objects, s.numbers) u (object, samples)
        GROUP BY u.object
    )
    SELECT split_part(o.key, '|', 1), nullif(split_part(o.key, '|', 2), ''), nullif(split_part(o.key, '|', 3), ''),
           nullif(split_part(o.key, '|', 4), '0')::bigint, q.label, s.samples,
           s.samples / nullif((SELECT sum(t.samples) FROM ticks t), 0)::float8,
           100 * s.samples / sum(s.samples) OVER ()::float8
    FROM seen s
    JOIN pitcrew.history_objects o ON o.id = s.object
    LEFT JOIN pitcrew.history_objects q ON q.kind = 's' AND q.key = split_part(o.key, '|', 4)
    ORDER BY s.samples DESC, o.key
$$;
COMMENT ON FUNCTION pitcrew.wait_profile(timestamptz) IS
    'What the busy sessions of this database did, from one look a second: in how many looks, how many sessions that is on average, and its share of all. wait_event is NULL for a session that worked. Needs pg_read_all_stats.';

CREATE FUNCTION pitcrew.settings_changes(since timestamptz DEFAULT '-infinity') RETURNS TABLE (
    setting text, old_value text, new_value text, after timestamptz, at timestamptz
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.object, e.old, e.new, e.began, e.at FROM pitcrew.history_events e
    WHERE e.event = 'setting' AND e.at > $1
    ORDER BY e.at DESC, e.object
$$;
COMMENT ON FUNCTION pitcrew.settings_changes(timestamptz) IS
    'Settings of the server, of this database and of roles that changed between two ticks, newest first. NULL: it was not set. Left out are settings that only superusers may see.';

CREATE FUNCTION pitcrew.regressions(
    recent interval DEFAULT '1 hour', baseline interval DEFAULT '7 days', min_calls bigint DEFAULT 20,
    min_ratio double precision DEFAULT 1.5
) RETURNS TABLE (
    queryid bigint, query text, after timestamptz, at timestamptz, baseline_ms double precision, recent_ms double precision,
    ratio double precision, score double precision, baseline_calls bigint, recent_calls bigint, extra_ms double precision,
    changes jsonb, detail text
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT pitcrew.history_visible();
    WITH slower AS MATERIALIZED (
        SELECT o.key, o.label, lower(o.label) AS lower_label, x.began, x.seen, s.*
        FROM pitcrew.history_slower(clock_timestamp() - recent - baseline, clock_timestamp() - recent, min_calls, min_ratio)
            s (object, began_s, seen_s, baseline_ms, recent_ms, score, baseline_calls, recent_calls, extra_ms)
        CROSS JOIN LATERAL (SELECT to_timestamp(s.began_s), to_timestamp(s.seen_s)) x (began, seen)
        JOIN pitcrew.history_objects o ON o.id = s.object
    ),
    -- Tables that the statement's text names.
    named AS MATERIALIZED (
        SELECT s.object AS statement, t.id, t.key
        FROM slower s
        JOIN pitcrew.history_objects t ON t.kind = 't'
        CROSS JOIN LATERAL substring(t.key FROM '("([^"]|"")*"|[^".]+)$') n (name)
        WHERE CASE WHEN left(n.name, 1) = '"' THEN strpos(s.label, n.name) > 0
                   -- To compile an expression for each table costs more than to look.
                   WHEN strpos(s.lower_label, n.name) = 0 THEN false
                   ELSE s.label ~* ('(^|[^a-z0-9_$"])' || replace(n.name, '$', '\$') || '($|[^a-z0-9_$"])') END
    ),
    -- From the tick before it got slow to the one where it is.
    events AS (
        SELECT s.object AS statement, e.at, CASE WHEN e.event LIKE 'index %' THEN 1 WHEN e.event LIKE 'table %' THEN 2 ELSE 3 END AS rank,
               CASE e.event WHEN 'setting' THEN format('setting %s changed from %s to %s', e.object, coalesce(e.old, 'nothing'), coalesce(e.new, 'nothing'))
                            WHEN 'index dropped' THEN format('index %s on %s was dropped', e.object, e.parent)
                            WHEN 'index invalid' THEN format('index %s on %s became invalid', e.object, e.parent)
                            WHEN 'table renamed' THEN format('table %s was renamed to %s', e.object, e.new)
                            ELSE format('%s was %s', split_part(e.event, ' ', 1) || ' ' || e.object, split_part(e.event, ' ', 2)) END AS text,
               jsonb_strip_nulls(jsonb_build_object('event', e.event, 'object', e.object, 'table', e.parent, 'old', e.old, 'new', e.new, 'at', e.at)) AS row
        FROM slower s
        JOIN pitcrew.history_events e ON e.at > s.began - interval '1 hour' AND e.began < s.seen
        WHERE e.event = 'setting'
           OR EXISTS (SELECT 1 FROM named n WHERE n.statement = s.object AND n.key IN (e.object, e.parent))
    ),
    -- Each tick is taken apart once, not once a table.
    relation_ticks AS MATERIALIZED (
        SELECT t.at, u.*
        FROM pitcrew.history_ticks t
        JOIN pitcrew.history_samples p ON p.tick = t.id AND p.kind = 'r'
        CROSS JOIN cardinality(p.objects) c
        CROSS JOIN LATERAL unnest(p.objects, p.numbers[10 * c + 1 : 11 * c], p.numbers[11 * c + 1 : 12 * c]) u (object, analyzes, bytes)
        WHERE t.at > (SELECT min(s.seen) FROM slower s) - baseline - recent AND u.object IN (SELECT n.id FROM named n)
    ),
    sizes AS MATERIALIZED (
        SELECT n.statement, n.key, t.at, s.began, s.seen, t.analyzes, t.bytes
        FROM named n
        JOIN slower s ON s.object = n.statement
        JOIN relation_ticks t ON t.object = n.id AND t.at > s.seen - baseline - recent
    ),
    analyzed AS (
        SELECT z.statement, max(z.at) AS at, 4 AS rank, format('table %s was analyzed', z.key) AS text,
               jsonb_build_object('event', 'table analyzed', 'object', z.key, 'at', max(z.at)) AS row
        FROM sizes z WHERE z.analyzes > 0 AND z.at > z.began - interval '1 hour' AND z.at <= z.seen
        GROUP BY z.statement, z.key
    ),
    grown AS (
        SELECT g.statement, g.at, 2 AS rank,
               format('table %s grew from %s to %s', g.key, pg_size_pretty(g.before), pg_size_pretty(g.after)) AS text,
               jsonb_build_object('event', 'table grew', 'object', g.key, 'old', g.before, 'new', g.after, 'at', g.at) AS row
        FROM (SELECT z.statement, z.key, max(z.seen) AS at,
                     percentile_disc(0.5) WITHIN GROUP (ORDER BY z.bytes) FILTER (WHERE z.at <= z.began AND z.bytes >= 0) AS before,
                     (array_agg(z.bytes ORDER BY z.at DESC) FILTER (WHERE z.bytes >= 0))[1] AS after
              FROM sizes z GROUP BY z.statement, z.key) g
        WHERE g.after > 1.5 * g.before AND g.after > g.before + 1024 * 1024
    ),
    causes AS (
        SELECT c.statement, jsonb_agg(c.row ORDER BY c.rank, c.at, c.text) AS changes,
               string_agg(c.text, '; ' ORDER BY c.rank, c.at, c.text) FILTER (WHERE c.number <= 5) AS text, count(*) AS count
        FROM (SELECT a.*, row_number() OVER (PARTITION BY a.statement ORDER BY a.rank, a.at, a.text) AS number
              FROM (TABLE events UNION ALL TABLE analyzed UNION ALL TABLE grown) a) c
        WHERE c.number <= 50
        GROUP BY c.statement
    )
    SELECT s.key::bigint, s.label, s.began, s.seen, s.baseline_ms, s.recent_ms, s.recent_ms / s.baseline_ms, s.score, s.baseline_calls,
           s.recent_calls, s.extra_ms, coalesce(c.changes, '[]'),
           format('takes %s ms a call instead of %s ms, %s times as long, over %s calls (%s before), since the tick from %s to %s; ',
                  round(s.recent_ms::numeric, 3), round(s.baseline_ms::numeric, 3), round((s.recent_ms / s.baseline_ms)::numeric, 1),
                  s.recent_calls, s.baseline_calls, to_char(s.began, 'YYYY-MM-DD HH24:MI:SS'), to_char(s.seen, 'YYYY-MM-DD HH24:MI:SS'))
           || CASE WHEN c.count IS NULL THEN 'nothing that is watched changed near that moment'
                   ELSE 'near that moment: ' || c.text || CASE WHEN c.count > 5 THEN format('; and %s more', c.count - 5) ELSE '' END END
    FROM slower s
    LEFT JOIN causes c ON c.statement = s.object
    ORDER BY s.extra_ms DESC, s.key
$$;
COMMENT ON FUNCTION pitcrew.regressions(interval, interval, bigint, double precision) IS
    'Statements whose mean time a call in the recent interval is above that of the baseline before it by min_ratio and beyond its noise (modified z-score of 3.5 over at least 6 ticks, min_calls calls in each), with what changed from an hour before to the tick in which it got slow: indexes, tables that the text names, settings, ANALYZE, size. extra_ms: what it cost. Needs pg_read_all_stats.';
