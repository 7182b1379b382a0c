-- title: Login whose password ends soon
-- default: min_days = 14
-- looked at: SELECT count(*) || ' logins' FROM pg_roles WHERE rolcanlogin
SELECT CASE WHEN r.rolvaliduntil <= clock_timestamp() AND a.sessions = 0 THEN 'info' ELSE 'warn' END AS severity, quote_ident(r.rolname) AS object,
       CASE WHEN r.rolvaliduntil <= clock_timestamp() THEN format('its password ended at %s; %s of its sessions are still here, and none that ends comes back', r.rolvaliduntil, a.sessions)
            ELSE format('its password ends at %s, in %s days: no new session after that', r.rolvaliduntil, ceil(extract(epoch FROM r.rolvaliduntil - clock_timestamp()) / 86400)) END AS detail,
       jsonb_build_object('valid_until', r.rolvaliduntil, 'sessions', a.sessions) AS evidence,
       format('ALTER ROLE %I VALID UNTIL ''infinity''', r.rolname) AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM pg_roles r CROSS JOIN LATERAL (SELECT count(*) AS sessions FROM pg_stat_activity a WHERE a.usesysid = r.oid) a
WHERE r.rolcanlogin AND r.rolvaliduntil < clock_timestamp() + {min_days} * interval '1 day'
ORDER BY r.rolvaliduntil, 2
