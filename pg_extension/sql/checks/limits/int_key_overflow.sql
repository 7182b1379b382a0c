-- title: Column too small for the sequence that fills it
-- uses: relations
-- default: min_percent = 70
-- default: critical_percent = 90
-- looked at: SELECT count(*) || ' sequences' FROM pg_sequences
WITH filled AS (
    -- Columns that sequences fill: as their owners, or by their defaults.
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    UNION
    SELECT s.oid, f.adrelid, f.adnum
    FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
)
SELECT * FROM (
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       f.object || '.' || f.column_name AS object,
       format('its type %s ends at %s, and the sequence is at %s (%s %%)%s', f.type, f.most, f.last_value, round(f.percent),
              CASE WHEN f.per_day > 0 THEN format('; at %s inserts a day %s days are left', round(f.per_day::numeric), floor(greatest(f.most - f.last_value, 0) / f.per_day)) ELSE '' END) AS detail,
       jsonb_build_object('last_value', f.last_value, 'type', f.type, 'percent', round(f.percent, 1), 'rows', f.tuples, 'inserts_per_day', f.per_day) AS evidence,
       format('ALTER TABLE %s ALTER COLUMN %s TYPE bigint', f.object, f.column_name) AS fix_sql,
       NULL AS fix_job,
       -- It rewrites the table under a lock, and columns that refer to it have to follow.
       'low' AS confidence
FROM (SELECT r.object, r.tuples, quote_ident(a.attname) AS column_name, format_type(a.atttypid, NULL) AS type, q.last_value, m.most,
             100.0 * q.last_value / m.most AS percent,
             (SELECT pg_stat_get_tuples_inserted(r.oid) / greatest(extract(epoch FROM clock_timestamp() - coalesce(t.stats_reset, b.stats_reset))::float8 / 86400, 1)
              FROM pg_stat_database t, pg_stat_bgwriter b WHERE t.datname = current_database()) AS per_day
      FROM relations r
      JOIN filled d ON d.relation = r.oid
      JOIN pg_class s ON s.oid = d.sequence
      JOIN pg_namespace n ON n.oid = s.relnamespace
      JOIN pg_sequences q ON q.schemaname = n.nspname AND q.sequencename = s.relname
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.number
      JOIN (VALUES ('int2'::regtype, 32767::bigint), ('int4'::regtype, 2147483647)) m (type, most) ON m.type = a.atttypid
      -- What ends with its own type is told by sequence_overflow.
      WHERE q.max_value > m.most) f
WHERE f.percent >= {min_percent}
ORDER BY f.percent DESC, 2) q
UNION ALL
SELECT 'skipped', NULL, format('%s sequences are not readable for this role: GRANT SELECT ON ALL SEQUENCES, or pg_read_all_data', count(*)), NULL, NULL, NULL, NULL
FROM pg_sequence q
JOIN pg_class s ON s.oid = q.seqrelid
WHERE NOT has_sequence_privilege(q.seqrelid, 'SELECT, USAGE')
  AND NOT pg_is_other_temp_schema(s.relnamespace) AND s.relnamespace IS DISTINCT FROM to_regnamespace('pitcrew')
HAVING count(*) > 0
