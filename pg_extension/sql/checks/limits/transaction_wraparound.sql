-- title: Database on its way to transaction wraparound
-- default: min_percent = 20
-- default: critical_percent = 50
-- looked at: SELECT count(*) || ' databases' FROM pg_database
SELECT CASE WHEN f.percent >= {critical_percent} THEN 'critical' ELSE 'warn' END AS severity,
       quote_ident(f.datname) AS object,
       format('its oldest row is %s transactions old, %s %% of what there can be%s', f.used, round(f.percent::numeric, 1),
              CASE WHEN f.per_day > 0 THEN format('; at %s transactions a day, all of them counted as writing, %s days are left',
                                                  round(f.per_day::numeric), floor((2147483648 - f.used) / f.per_day)) ELSE '' END) AS detail,
       jsonb_build_object('age', f.used, 'percent', f.percent, 'transactions_per_day', f.per_day) AS evidence,
       CASE WHEN f.datname = current_database() THEN 'VACUUM (FREEZE)' END AS fix_sql,
       CASE WHEN f.datname = current_database() THEN jsonb_build_object('kind', 'freeze_oldest') END AS fix_job,
       'high' AS confidence
FROM (SELECT d.datname, age(d.datfrozenxid)::bigint AS used, 100.0 * age(d.datfrozenxid) / 2147483648 AS percent,
             (SELECT sum(s.xact_commit + s.xact_rollback)::float8 FROM pg_stat_database s)
                 / greatest(extract(epoch FROM clock_timestamp() - b.stats_reset) / 86400, 1)::float8 AS per_day
      FROM pg_database d, pg_stat_bgwriter b) f
WHERE f.percent >= {min_percent}
ORDER BY f.used DESC, 2
