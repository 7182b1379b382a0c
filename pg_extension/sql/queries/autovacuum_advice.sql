-- What to set for single tables so that autovacuum comes in time, over the collection `relations`. Thresholds that grow with
-- the table are right for small tables and late for large ones: above $1 rows they are to grow with the root of the size,
-- so that a table a hundred times as large waits for ten times as many rows.
, settings AS (
    SELECT current_setting('autovacuum_vacuum_scale_factor')::float8 AS vacuum_scale,
           current_setting('autovacuum_vacuum_insert_scale_factor')::float8 AS insert_scale,
           current_setting('autovacuum_analyze_scale_factor')::float8 AS analyze_scale,
           greatest($1, 1)::float8 AS min_rows
), tables AS (
    SELECT r.*, s.*, sqrt(s.min_rows * r.tuples) AS grown,
           r.updated + r.deleted AS changed,
           EXISTS (SELECT 1 FROM unnest(r.options) o (text) WHERE o.text ~* '^autovacuum_enabled=(f|fa|fal|fals|false|of|off|0|n|no)$') AS is_off
    FROM relations r, settings s
    WHERE r.kind IN ('r', 'm')
), advice AS (
    SELECT t.object, 'vacuum' AS topic, t.vacuum_due AS due_now, t.vacuum_scale * t.grown AS due_then, t.changed AS rows_counted,
           format('%s of %s rows have to be dead before autovacuum starts, which leaves %s of the table to dead rows; from %s on each run is short and the table stays small',
                  round(t.vacuum_due), round(t.tuples), round((100 * t.vacuum_due / t.tuples)::numeric, 1) || ' %', round(t.vacuum_scale * t.grown)) AS detail,
           format('autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = %s', round((t.vacuum_scale * t.grown / t.tuples)::numeric, 5)) AS setting,
           'high' AS confidence
    FROM tables t
    -- Only where rows die: the counters are those since the last reset of the statistics.
    WHERE t.tuples >= t.min_rows AND NOT t.is_off AND t.changed >= t.tuples / 100 AND t.vacuum_due >= 2 * t.vacuum_scale * t.grown
    UNION ALL
    SELECT t.object, 'insert', t.insert_due, t.insert_scale * t.grown, t.inserted,
           format('%s rows have to be inserted into %s before autovacuum starts: until then index-only scans read the table for the newest rows, and all of them are left to freeze at once; from %s on it is little each time',
                  round(t.insert_due), round(t.tuples), round(t.insert_scale * t.grown)),
           format('autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = %s', round((t.insert_scale * t.grown / t.tuples)::numeric, 5)),
           'high'
    FROM tables t
    WHERE t.tuples >= t.min_rows AND NOT t.is_off AND t.inserted >= t.tuples / 100 AND t.changed < t.inserted / 10
      AND t.insert_due >= 2 * t.insert_scale * t.grown
    UNION ALL
    SELECT t.object, 'analyze', t.analyze_due, t.analyze_scale * t.grown, t.inserted + t.changed,
           format('%s of %s rows have to change before autovacuum runs ANALYZE: until then the planner knows nothing of the newest values; from %s on it does',
                  round(t.analyze_due), round(t.tuples), round(t.analyze_scale * t.grown)),
           format('autovacuum_analyze_threshold = 0, autovacuum_analyze_scale_factor = %s', round((t.analyze_scale * t.grown / t.tuples)::numeric, 5)),
           'medium'
    FROM tables t
    WHERE t.tuples >= t.min_rows AND NOT t.is_off AND t.inserted + t.changed >= t.tuples / 100 AND t.analyze_due >= 2 * t.analyze_scale * t.grown
    UNION ALL
    -- Rows that are written once are frozen at the first visit, not all at once when the age is up.
    SELECT t.object, 'freeze', t.freeze_due, NULL, t.inserted,
           format('its %s rows are inserted and hardly changed (%s of %s), and its oldest transaction is %s of %s old: frozen as they are vacuumed, they are never read again for it',
                  round(t.tuples), t.changed, t.inserted, t.xid_age, t.freeze_due),
           'autovacuum_freeze_min_age = 0', 'medium'
    FROM tables t
    WHERE t.tuples >= t.min_rows AND NOT t.is_off AND t.inserted >= t.tuples / 100 AND t.changed < t.inserted / 10
      AND NOT coalesce(t.options @> '{autovacuum_freeze_min_age=0}', false)
    UNION ALL
    SELECT t.object, 'slow', t.vacuum_due, NULL, t.dead_rows,
           format('%s dead rows, %s times what starts autovacuum, which has been here %s times: it starts, and does not keep up; without its pauses it does',
                  t.dead_rows, round((t.dead_rows / greatest(t.vacuum_due, 1))::numeric, 1), pg_stat_get_autovacuum_count(t.oid)),
           'autovacuum_vacuum_cost_delay = 0', 'low'
    FROM tables t
    WHERE NOT t.is_off AND t.dead_rows >= t.min_rows / 100 AND t.dead_rows >= 3 * greatest(t.vacuum_due, 1) AND pg_stat_get_autovacuum_count(t.oid) > 0
      AND NOT coalesce(t.options @> '{autovacuum_vacuum_cost_delay=0}', false)
    UNION ALL
    SELECT t.object, 'off', t.vacuum_due, NULL, t.dead_rows,
           format('autovacuum is switched off here; %s rows are dead, %s changed since the last ANALYZE, and its oldest transaction is %s of %s old, when autovacuum comes all the same and cannot be stopped',
                  t.dead_rows, t.modified, t.xid_age, t.freeze_due),
           'autovacuum_enabled = true', 'medium'
    FROM tables t
    WHERE t.is_off AND (t.dead_rows > t.vacuum_due OR t.modified > t.analyze_due OR t.xid_age > t.freeze_due / 2)
)
SELECT a.object, a.topic, a.detail,
       jsonb_strip_nulls(jsonb_build_object('due_now', round(a.due_now), 'due_then', round(a.due_then::numeric), 'rows_counted', a.rows_counted)),
       format('ALTER %s %s SET (%s)', CASE t.kind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, a.object, a.setting), a.confidence
FROM advice a JOIN relations t ON t.object = a.object
ORDER BY a.rows_counted DESC, a.object, a.topic
LIMIT 1000
