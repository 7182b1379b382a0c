-- title: Prepared transaction left open
-- default: min_seconds = 300
-- default: critical_seconds = 3600
-- looked at: SELECT count(*) || ' prepared transactions' FROM pg_prepared_xacts
SELECT CASE WHEN f.seconds >= {critical_seconds} THEN 'critical' ELSE 'warn' END AS severity,
       quote_literal(f.gid) AS object,
       format('prepared by %s in database %s and open for %s s: it keeps its locks through restarts, and VACUUM cannot remove what died since', quote_ident(f.owner), quote_ident(f.database), round(f.seconds)) AS detail,
       jsonb_build_object('gid', f.gid, 'owner', f.owner, 'database', f.database, 'seconds', round(f.seconds)) AS evidence,
       CASE WHEN f.database = current_database() THEN format('ROLLBACK PREPARED %L', f.gid) END AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM (SELECT p.*, extract(epoch FROM clock_timestamp() - p.prepared) AS seconds FROM pg_prepared_xacts p) f
WHERE f.seconds >= {min_seconds}
ORDER BY f.seconds DESC
