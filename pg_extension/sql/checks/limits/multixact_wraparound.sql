-- title: Database on its way to multixact wraparound
-- default: min_percent = 20
-- default: critical_percent = 50
-- looked at: SELECT count(*) || ' databases' FROM pg_database
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       quote_ident(f.datname) AS object,
       format('its oldest row lock of several transactions is %s multixacts old, %s %% of what there can be%s', f.used, round(f.percent::numeric, 1),
              CASE WHEN f.per_day > 0 THEN format('; at %s a day, the mean since initdb, %s days are left', round(f.per_day::numeric), floor((2147483648 - f.used) / f.per_day)) ELSE '' END) AS detail,
       jsonb_build_object('age', f.used, 'percent', f.percent, 'multixacts_per_day', f.per_day) AS evidence,
       CASE WHEN f.datname = current_database() THEN 'VACUUM (FREEZE)' END AS fix_sql,
       CASE WHEN f.datname = current_database() THEN jsonb_build_object('kind', 'freeze_oldest') END AS fix_job,
       'high' AS confidence
FROM (SELECT d.datname, mxid_age(d.datminmxid)::bigint AS used, 100.0 * mxid_age(d.datminmxid) / 2147483648 AS percent,
             -- The upper half of the system identifier is when initdb ran.
             c.next_multixact_id::text::float8 / greatest((extract(epoch FROM clock_timestamp())::float8 - (s.system_identifier >> 32)) / 86400, 1) AS per_day
      FROM pg_database d, pg_control_checkpoint() c, pg_control_system() s) f
WHERE f.percent >= {min_percent}
ORDER BY f.used DESC, 2
