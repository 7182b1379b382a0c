-- title: Statement whose plan changed and that got slower by it
-- needs: extension pg_pitcrew, setting pitcrew.capture_slots, role pg_read_all_stats
-- default: min_executions = 2
-- default: min_ratio = 2
-- default: min_ms = 1
-- default: warn_ratio = 5
-- looked at: SELECT count(*) || ' plans of ' || count(DISTINCT queryid) || ' statements that were seen while pitcrew.capture was on' FROM pitcrew.seen_plans
WITH plans AS MATERIALIZED (
    SELECT p.*, max(p.last_at) OVER (PARTITION BY p.queryid, p.user_name) AS newest FROM pitcrew.plan_flips p WHERE p.queryid IS NOT NULL
),
flips AS (
    SELECT DISTINCT ON (n.queryid, n.user_name) n.queryid, n.user_name, n.query, n.plan, n.plan_shape, n.mean_ms, n.executions, n.first_at,
           n.relations, b.plan AS fast_plan, b.plan_shape AS fast_shape, b.mean_ms AS fast_ms, b.executions AS fast_executions,
           b.last_at AS fast_last_at, b.relations AS fast_relations, b.last_at > n.first_at AS both,
           regexp_replace(n.plan, ' (using|on) (what is gone \(OID \d+\)|("([^"]|"")+"|[^ ,()".]+)\.("([^"]|"")+"|[^ ,()".]+))', '', 'g') AS bare, regexp_replace(b.plan, ' (using|on) (what is gone \(OID \d+\)|("([^"]|"")+"|[^ ,()".]+)\.("([^"]|"")+"|[^ ,()".]+))', '', 'g') AS fast_bare
    FROM plans n
    JOIN plans b ON b.queryid = n.queryid AND b.user_name IS NOT DISTINCT FROM n.user_name AND b.plan_shape <> n.plan_shape
    WHERE n.executions >= {min_executions} AND b.executions >= {min_executions}
      AND n.mean_ms >= {min_ms} AND n.mean_ms >= {min_ratio} * b.mean_ms
      -- The slow one came after the fast one, and it is the one that ran last.
      AND n.first_at > b.first_at AND n.last_at = n.newest AND n.last_at > b.last_at
    ORDER BY n.queryid, n.user_name, b.mean_ms
)
SELECT CASE WHEN f.mean_ms >= {warn_ratio} * f.fast_ms AND NOT f.both THEN 'warn' ELSE 'info' END AS severity,
       'query ' || f.queryid AS object,
       format('takes %s ms instead of %s ms, %s times as long, since it runs as %s (%s executions seen since %s)%s instead of %s (%s seen); %s: %s',
              round(f.mean_ms::numeric, 3), round(f.fast_ms::numeric, 3), round((f.mean_ms / nullif(f.fast_ms, 0))::numeric, 1), f.plan, f.executions,
              to_char(f.first_at, 'YYYY-MM-DD HH24:MI:SS'), CASE WHEN f.both THEN ', and now and then still as before,' ELSE '' END, f.fast_plan, f.fast_executions,
              CASE WHEN g.label IS NOT NULL THEN format('index %s is not there any more', g.key)
                   WHEN s.relid IS NOT NULL THEN format('%s rows of %s changed since its statistics are from %s', s.modified, s.name, coalesce(s.analyzed::text, 'never'))
                   WHEN c.together THEN format('it compares %s of %s together with values: extended statistics tell the planner which of their values go together', c.list, c.name)
                   WHEN c.target < 1000 THEN format('it compares %s of %s: a statistics target above %s tells the planner more of its values', c.list, c.name, c.target)
                   ELSE 'no index that it used is known to be gone and its statistics are fresh and large: another sample may serve it better, or it has other parameter values' END,
              coalesce(regexp_replace(left(f.query, 200), '\s+', ' ', 'g'), 'its text was not captured')) AS detail,
       jsonb_build_object('queryid', f.queryid, 'user', f.user_name, 'plan', f.plan, 'plan_shape', f.plan_shape, 'mean_ms', f.mean_ms,
                          'executions', f.executions, 'since', f.first_at, 'fast_plan', f.fast_plan, 'fast_plan_shape', f.fast_shape, 'fast_mean_ms', f.fast_ms,
                          'fast_executions', f.fast_executions, 'fast_last_at', f.fast_last_at, 'both_in_use', f.both, 'index_gone', g.key, 'stale_table', s.name,
                          'compared_in', c.name, 'compared', c.names, 'statistics_target', c.target) AS evidence,
       CASE WHEN g.label IS NOT NULL THEN format('CREATE INDEX CONCURRENTLY %I ON %s %s', g.name, g.parent, g.definition)
            WHEN s.relid IS NOT NULL THEN format('ANALYZE %s', s.name)
            WHEN c.together AND c.statistics_name IS NOT NULL THEN format(E'CREATE STATISTICS %I.%I (ndistinct, dependencies, mcv) ON %s FROM %s;\nANALYZE %s (%s)',
                                        c.schema_name, c.statistics_name, c.list, c.name, c.name, c.list)
            WHEN c.target < 1000 THEN format(E'ALTER TABLE %s %s;\nANALYZE %s (%s)', c.name, c.changes, c.name, c.list)
            WHEN t.name IS NOT NULL THEN format('ANALYZE %s', t.name) END AS fix_sql,
       CASE WHEN g.label IS NOT NULL THEN
                jsonb_build_object('kind', 'create_index', 'target', g.parent, 'options', jsonb_build_object('name', g.name, 'definition', g.definition))
            WHEN s.relid IS NOT NULL THEN jsonb_build_object('kind', 'analyze', 'target', s.name, 'options', jsonb_build_object())
            WHEN c.together THEN jsonb_build_object('kind', 'statistics', 'target', c.name, 'options',
                                                    jsonb_build_object('columns', c.names, 'kinds', jsonb_build_array('ndistinct', 'dependencies', 'mcv')))
            WHEN c.target < 1000 THEN jsonb_build_object('kind', 'statistics', 'target', c.name, 'options',
                                                         jsonb_build_object('columns', c.names, 'target', c.wanted))
            WHEN t.name IS NOT NULL THEN jsonb_build_object('kind', 'analyze', 'target', t.name, 'options', jsonb_build_object()) END AS fix_job,
       CASE WHEN g.label IS NOT NULL THEN 'high' WHEN s.relid IS NOT NULL THEN 'medium' WHEN coalesce(c.name, t.name) IS NOT NULL THEN 'low' END AS confidence
FROM flips f
-- An index of the fast plan that is gone, and no other like it there: the history knows how it was made.
LEFT JOIN LATERAL (
    SELECT o.key, o.label, o.parent, x.name, substr(o.label, length(x.start) + 1) AS definition
    FROM pitcrew.history_objects o
    CROSS JOIN LATERAL (SELECT (parse_ident(o.key))[2]) n (name)
    CROSS JOIN LATERAL (SELECT n.name, format('CREATE INDEX %I ON %s ', n.name, o.parent)) x (name, start)
    WHERE o.kind = 'i' AND o.oid = ANY (f.fast_relations) AND starts_with(o.label, x.start)
      AND to_regclass(o.parent) IS NOT NULL AND to_regclass(o.key) IS NULL AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = o.oid)
      AND NOT EXISTS (SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                      WHERE i.indrelid = to_regclass(o.parent) AND i.indisvalid
                        AND pg_get_indexdef(i.indexrelid) = format('CREATE INDEX %I ON %s ', c.relname, o.parent) || substr(o.label, length(x.start) + 1))
    ORDER BY o.key LIMIT 1
) g ON true
-- The table of the slow plan whose statistics are furthest behind.
LEFT JOIN LATERAL (
    SELECT t.relid, t.relid::regclass::text AS name, t.n_mod_since_analyze AS modified, greatest(t.last_analyze, t.last_autoanalyze) AS analyzed
    FROM pg_stat_user_tables t
    WHERE (t.relid = ANY (f.relations) OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = t.relid AND i.indexrelid = ANY (f.relations)))
      AND (t.n_mod_since_analyze >= greatest(0.05 * t.n_live_tup, 50) OR greatest(t.last_analyze, t.last_autoanalyze) IS NULL)
    ORDER BY t.n_mod_since_analyze::float8 / greatest(t.n_live_tup, 1) DESC, t.relid LIMIT 1
) s ON true
-- Else what it compares in one of its tables, where it compares most columns together: the planner takes each for itself unless extended
-- statistics say more, which are of eight columns at most.
LEFT JOIN LATERAL (
    SELECT w.name, w.schema_name, n.list, n.names, n.changes, n.target, n.wanted, free.name AS statistics_name,
           cardinality(w.columns) > 1 AND NOT EXISTS (SELECT 1 FROM pg_statistic_ext x WHERE x.stxrelid = w.relation
                                                        AND x.stxkeys::int2[] @> w.columns AND 'm' = ANY (x.stxkind)) AS together
    FROM (SELECT k.relation, k.relation::regclass::text AS name, u.schemaname AS schema_name, u.relname AS table_name, k.columns[:8] AS columns
          FROM pitcrew.compared_columns(CASE WHEN g.label IS NULL AND s.relid IS NULL THEN f.queryid END) k
          JOIN pg_stat_user_tables u ON u.relid = k.relation
          WHERE k.relation = ANY (f.relations) OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = k.relation AND i.indexrelid = ANY (f.relations))
          ORDER BY cardinality(k.columns) DESC, u.n_live_tup DESC, k.relation LIMIT 1) w
    CROSS JOIN LATERAL (
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) AS list, jsonb_agg(a.attname ORDER BY a.attname) AS names,
               string_agg(a.attname, '_' ORDER BY a.attname) AS short, max(a.target) AS target, max(a.wanted) AS wanted,
               string_agg(format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.wanted), ', ' ORDER BY a.attname) AS changes
        -- Columns may have no statistics at all: a target of 0.
        FROM (SELECT b.attname, b.target, least(greatest(4 * max(b.target) OVER (), current_setting('default_statistics_target')::int), 1000) AS wanted
              FROM (SELECT d.attname, coalesce(nullif(d.attstattarget::int, -1), current_setting('default_statistics_target')::int) AS target
                    FROM pg_attribute d WHERE d.attrelid = w.relation AND d.attnum = ANY (w.columns) AND NOT d.attisdropped) b) a) n
    -- A name that is not taken, of 63 bytes at most whatever the letters.
    LEFT JOIN LATERAL (
        SELECT f.name FROM generate_series(0, 99) i
        CROSS JOIN LATERAL (SELECT CASE i WHEN 0 THEN left(w.table_name || '_' || n.short, 50) || '_stat' ELSE left(w.table_name, 10) || '_stat' || i END::name::text) f (name)
        WHERE NOT EXISTS (SELECT 1 FROM pg_statistic_ext x JOIN pg_namespace p ON p.oid = x.stxnamespace WHERE p.nspname = w.schema_name AND x.stxname::text = f.name)
        ORDER BY i LIMIT 1
    ) free ON true
) c ON true
-- Else the largest table that it reads.
LEFT JOIN LATERAL (
    SELECT u.relid::regclass::text AS name FROM pg_stat_user_tables u
    WHERE g.label IS NULL AND s.relid IS NULL
      AND (u.relid = ANY (f.relations) OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = u.relid AND i.indexrelid = ANY (f.relations)))
    ORDER BY u.n_live_tup DESC, u.relid LIMIT 1
) t ON true
-- An index that was rebuilt is another one to the plan, and the same to everybody else.
WHERE NOT (g.label IS NULL AND f.bare = f.fast_bare AND f.fast_plan LIKE '% on what is gone (OID %')
UNION ALL
SELECT 'skipped', NULL, 'no plan was seen: pitcrew.capture is off, or nothing ran since it is on', NULL, NULL, NULL, NULL
WHERE NOT EXISTS (SELECT 1 FROM pitcrew.seen_plans)
