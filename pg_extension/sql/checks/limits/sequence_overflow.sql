-- title: Sequence near its end
-- default: min_percent = 70
-- default: critical_percent = 90
-- looked at: SELECT count(*) || ' sequences' FROM pg_sequences WHERE NOT cycle
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
       f.object,
       format('%s of %s values (%s %%) are used; %s are left%s', round(f.used), round(f.whole), round(f.percent), round(f.whole - f.used),
              CASE WHEN d.per_day > 0 THEN format(', at %s inserts a day into its table for %s days', round(d.per_day::numeric), floor((f.whole - f.used) / abs(f.increment_by) / d.per_day::numeric)) ELSE '' END) AS detail,
       jsonb_build_object('last_value', f.last_value, 'max_value', f.max_value, 'min_value', f.min_value, 'type', f.data_type) AS evidence,
       -- Only where the type is what ends: an upper bound that somebody chose has a reason.
       CASE WHEN f.increment_by > 0 AND f.data_type <> 'bigint'::regtype AND f.max_value = CASE f.data_type WHEN 'integer'::regtype THEN 2147483647 ELSE 32767 END
             -- A column that is no wider than the sequence would be what ends.
             AND NOT EXISTS (SELECT 1 FROM filled d JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = d.number
                             WHERE d.sequence = f.object::regclass AND a.atttypid <> 'bigint'::regtype)
            THEN format('ALTER SEQUENCE %s AS bigint', f.object) END AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM (SELECT s.*, quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename) AS object,
             s.max_value::numeric - s.min_value + 1 AS whole,
             CASE WHEN s.increment_by > 0 THEN s.last_value::numeric - s.min_value + 1 ELSE s.max_value::numeric - s.last_value + 1 END AS used,
             100 * CASE WHEN s.increment_by > 0 THEN s.last_value::numeric - s.min_value + 1 ELSE s.max_value::numeric - s.last_value + 1 END
                 / (s.max_value::numeric - s.min_value + 1) AS percent
      FROM pg_sequences s WHERE NOT s.cycle) f
CROSS JOIN LATERAL (
    SELECT max(pg_stat_get_tuples_inserted(o.relation)) / greatest(extract(epoch FROM clock_timestamp() - coalesce(max(t.stats_reset), max(b.stats_reset)))::float8 / 86400, 1) AS per_day
    FROM filled o, pg_stat_database t, pg_stat_bgwriter b
    WHERE o.sequence = f.object::regclass AND t.datname = current_database()) d
WHERE f.percent >= {min_percent}
ORDER BY f.percent DESC, f.object) q
UNION ALL
SELECT 'skipped', NULL, format('%s sequences are not readable for this role: GRANT SELECT ON ALL SEQUENCES, or pg_read_all_data', count(*)), NULL, NULL, NULL, NULL
FROM pg_sequence q
JOIN pg_class s ON s.oid = q.seqrelid
WHERE NOT has_sequence_privilege(q.seqrelid, 'SELECT, USAGE')
  AND NOT pg_is_other_temp_schema(s.relnamespace) AND s.relnamespace IS DISTINCT FROM to_regnamespace('pitcrew')
HAVING count(*) > 0
