-- title: Table that should have been frozen
-- uses: relations
-- default: min_percent = 120
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm')
SELECT 'warn' AS severity, f.object,
       format('its oldest row is %s transactions old, %s %% of where autovacuum freezes (autovacuum_freeze_max_age = %s): it is blocked or too slow; %s', f.xid_age,
              round(f.percent::numeric, 3), current_setting('autovacuum_freeze_max_age'), pg_size_pretty(f.bytes)) AS detail,
       jsonb_build_object('age', f.xid_age, 'bytes', f.bytes, 'last_vacuum', f.last_vacuum) AS evidence,
       format('VACUUM (FREEZE) %s', f.object) AS fix_sql,
       jsonb_build_object('kind', 'vacuum', 'target', f.object, 'options', jsonb_build_object('freeze', true)) AS fix_job,
       'high' AS confidence
FROM (SELECT r.*, 100.0 * r.xid_age / (SELECT current_setting('autovacuum_freeze_max_age')::float8) AS percent FROM relations r WHERE r.kind IN ('r', 'm')) f
WHERE f.percent >= {min_percent}
ORDER BY f.xid_age DESC, f.object
