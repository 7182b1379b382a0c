-- title: Database on its way to multixact wraparound
-- default: min_percent = 20
-- default: critical_percent = 50
-- looked at: SELECT count(*) || ' databases' FROM pg_database
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       quote_ident(f.datname) AS object,
       format('its oldest row lock of several transactions is %s multixacts old, %s %% of what there can be', f.used, round(f.percent::numeric, 1)) AS detail,
       jsonb_build_object('age', f.used, 'percent', f.percent) AS evidence,
       CASE WHEN f.datname = current_database() THEN 'VACUUM (FREEZE)' END AS fix_sql,
       CASE WHEN f.datname = current_database() THEN jsonb_build_object('kind', 'freeze_oldest') END AS fix_job,
       'high' AS confidence
FROM (SELECT d.datname, mxid_age(d.datminmxid) AS used, 100.0 * mxid_age(d.datminmxid) / 2147483648 AS percent FROM pg_database d) f
WHERE f.percent >= {min_percent}
ORDER BY f.used DESC, 2
