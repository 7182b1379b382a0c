-- Tables whose dead rows are more than autovacuum's own threshold for them, which the current role may maintain; worst first, at
-- most $1. Threshold: "The Autovacuum Daemon" in the manual, with the table's own settings before the server's.
SELECT c.oid
FROM pg_class c
JOIN pg_stat_all_tables s ON s.relid = c.oid
LEFT JOIN LATERAL (
    SELECT max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold')::float8 AS threshold,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale
    FROM pg_options_to_table(c.reloptions) o
) own ON true
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  AND (pg_has_role(current_user, c.relowner, 'USAGE')
       OR pg_has_role(current_user, (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()), 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') END)
  AND s.n_dead_tup > coalesce(own.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
      + coalesce(own.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(c.reltuples, 0)
ORDER BY s.n_dead_tup DESC, c.oid
LIMIT $1
