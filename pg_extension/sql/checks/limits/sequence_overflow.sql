-- title: Sequence near its end
-- default: min_percent = 70
-- default: critical_percent = 90
-- looked at: SELECT count(*) || ' sequences' FROM pg_sequences WHERE NOT cycle
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       f.object,
       format('%s of %s values (%s %%) are used; %s are left', round(f.used), round(f.whole), round(f.percent), round(f.whole - f.used)) AS detail,
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
WHERE f.percent >= {min_percent}
ORDER BY f.percent DESC, f.object
