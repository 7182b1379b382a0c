-- title: Table of a subscription that is not there in whole
-- needs: primary
-- looked at: SELECT count(*) || ' tables of subscriptions' FROM pg_subscription_rel
SELECT CASE WHEN w.pid IS NULL THEN 'warn' ELSE 'info' END AS severity,
       format('%s of subscription %I', t.srrelid::regclass, s.subname) AS object,
       format('its first copy is not finished (state %s)%s', t.srsubstate, CASE WHEN w.pid IS NULL THEN ', and no worker copies it now: changes do not arrive, and the publisher keeps WAL' ELSE format('; pid %s copies it', w.pid) END) AS detail,
       jsonb_build_object('state', t.srsubstate, 'pid', w.pid, 'enabled', s.subenabled) AS evidence,
       CASE WHEN NOT s.subenabled THEN format('ALTER SUBSCRIPTION %I ENABLE', s.subname) END AS fix_sql, NULL AS fix_job,
       CASE WHEN NOT s.subenabled THEN 'low' END AS confidence
FROM pg_subscription_rel t
JOIN pg_subscription s ON s.oid = t.srsubid
LEFT JOIN pg_stat_subscription w ON w.subid = s.oid AND w.relid = t.srrelid
-- Ready is the only state that ends.
WHERE t.srsubstate <> 'r' AND s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
ORDER BY 1 DESC, 2
