-- title: Replication slot that nobody reads
-- looked at: SELECT count(*) || ' replication slots' FROM pg_replication_slots
SELECT 'warn' AS severity,
       'slot ' || quote_ident(s.slot_name) AS object,
       format('a %s slot that is not in use: WAL%s is kept for a reader that may never come', s.slot_type, CASE WHEN s.catalog_xmin IS NULL THEN '' ELSE ' and old catalogue rows' END) AS detail,
       jsonb_build_object('type', s.slot_type, 'plugin', s.plugin, 'restart_lsn', s.restart_lsn) AS evidence,
       format('SELECT pg_drop_replication_slot(%L)', s.slot_name) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM pg_replication_slots s
WHERE NOT s.active AND NOT s.temporary
ORDER BY 2
