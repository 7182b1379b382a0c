-- title: Sequence near its end
-- default: min_percent = 70
-- default: critical_percent = 90
-- looked at: SELECT count(*) || ' sequences' FROM pg_sequences WHERE NOT cycle
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       f.object,
       format('%s of %s values (%s %%) are used; %s are left%s', round(f.used), round(f.whole), round(f.percent), round(f.whole - f.used),
              CASE WHEN d.per_day > 0 THEN format(', at %s inserts a day into its table for %s days', round(d.per_day::numeric), floor((f.whole - f.used) / abs(f.increment_by) / d.per_day::numeric)) ELSE '' END) AS detail,
       jsonb_build_object('last_value', f.last_value, 'max_value', f.max_value, 'min_value', f.min_value, 'type', f.data_type) AS evidence,
       -- Only where the type is what ends: an upper bound that somebody chose has a reason.
       CASE WHEN f.increment_by > 0 AND f.data_type <> 'bigint'::regtype AND f.max_value = CASE f.data_type WHEN 'integer'::regtype THEN 2147483647 ELSE 32767 END
             -- A column that is no wider than the sequence would be what ends.
             AND NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                             WHERE d.classid = 'pg_class'::regclass AND d.objid = f.object::regclass AND d.deptype IN ('a', 'i') AND a.atttypid <> 'bigint'::regtype)
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
    SELECT max(pg_stat_get_tuples_inserted(o.refobjid)) / greatest(extract(epoch FROM clock_timestamp() - coalesce(max(t.stats_reset), max(b.stats_reset)))::float8 / 86400, 1) AS per_day
    FROM pg_depend o, pg_stat_database t, pg_stat_bgwriter b
    WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.objid = f.object::regclass AND o.deptype IN ('a', 'i')
      AND t.datname = current_database()) d
WHERE f.percent >= {min_percent}
ORDER BY f.percent DESC, f.object
