-- title: tables, materialized views and partitioned tables of users, with what the server counts of them
SELECT c.oid, c.relname::text AS name, n.nspname::text AS schema_name,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS object,
       c.relkind AS kind, c.relpersistence AS persistence, c.relispartition AS is_partition, c.relowner AS owner,
       c.relpages::bigint AS pages, greatest(c.reltuples, 0)::float8 AS tuples, c.reltuples < 0 AS is_unknown,
       c.relpages::bigint * (SELECT current_setting('block_size')::bigint) AS bytes,
       coalesce(t.relpages, 0)::bigint * (SELECT current_setting('block_size')::bigint) AS toast_bytes,
       c.relnatts AS attributes, c.relrowsecurity AS has_row_security, c.relhastriggers AS has_triggers,
       c.reloptions AS options, c.relacl AS acl,
       CASE WHEN c.relkind <> 'p' THEN greatest(age(c.relfrozenxid), age(t.relfrozenxid)) END AS xid_age,
       CASE WHEN c.relkind <> 'p' THEN greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) END AS multixact_age,
       pg_stat_get_numscans(c.oid) AS seq_scans,
       pg_stat_get_tuples_returned(c.oid) AS seq_rows,
       pg_stat_get_tuples_inserted(c.oid) AS inserted,
       pg_stat_get_tuples_updated(c.oid) AS updated,
       pg_stat_get_tuples_deleted(c.oid) AS deleted,
       pg_stat_get_tuples_hot_updated(c.oid) AS hot_updated,
       pg_stat_get_live_tuples(c.oid) AS live_rows,
       pg_stat_get_dead_tuples(c.oid) AS dead_rows,
       pg_stat_get_mod_since_analyze(c.oid) AS modified,
       pg_stat_get_ins_since_vacuum(c.oid) AS inserted_since_vacuum,
       pg_stat_get_blocks_fetched(c.oid) AS blocks_fetched,
       pg_stat_get_blocks_hit(c.oid) AS blocks_hit,
       -- "The Autovacuum Daemon" in the manual: the table's own settings before the server's. The one place that says it.
       least(coalesce(own.vacuum_threshold, (SELECT current_setting('autovacuum_vacuum_threshold')::float8))
             + coalesce(own.vacuum_scale, (SELECT current_setting('autovacuum_vacuum_scale_factor')::float8)) * greatest(c.reltuples, 0),
             nullif(coalesce(own.vacuum_most, (SELECT current_setting('autovacuum_vacuum_max_threshold', true)::float8)), -1)) AS vacuum_due,
       nullif(coalesce(own.insert_threshold, (SELECT current_setting('autovacuum_vacuum_insert_threshold')::float8)), -1)
             + coalesce(own.insert_scale, (SELECT current_setting('autovacuum_vacuum_insert_scale_factor')::float8)) * greatest(c.reltuples, 0) AS insert_due,
       coalesce(own.analyze_threshold, (SELECT current_setting('autovacuum_analyze_threshold')::float8))
             + coalesce(own.analyze_scale, (SELECT current_setting('autovacuum_analyze_scale_factor')::float8)) * greatest(c.reltuples, 0) AS analyze_due,
       least(own.freeze_age, (SELECT current_setting('autovacuum_freeze_max_age')::bigint)) AS freeze_due,
       greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS last_vacuum,
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS last_analyze
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.relkind = 't'
LEFT JOIN LATERAL (
    SELECT max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold')::float8 AS vacuum_threshold,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor')::float8 AS vacuum_scale,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_max_threshold')::float8 AS vacuum_most,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_insert_threshold')::float8 AS insert_threshold,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_insert_scale_factor')::float8 AS insert_scale,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_analyze_threshold')::float8 AS analyze_threshold,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_analyze_scale_factor')::float8 AS analyze_scale,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_freeze_max_age')::bigint AS freeze_age
    FROM pg_options_to_table(c.reloptions) o
) own ON c.reloptions IS NOT NULL
WHERE c.relkind IN ('r', 'm', 'p')
  AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname <> 'pitcrew' AND left(n.nspname, 3) <> 'pg_'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
