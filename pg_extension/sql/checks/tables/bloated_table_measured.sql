-- title: Table whose pages are half empty, as measured
-- on request: it reads the pages that the visibility map does not know, of each table from min_bytes on
-- uses: relations
-- needs: extension pgstattuple, role pg_stat_scan_tables
-- default: min_bytes = 10485760
-- default: min_percent = 40
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind IN ('r', 'm') AND bytes >= {min_bytes}
SELECT 'warn' AS severity, r.object,
       format('%s of %s are free or dead (%s %% free, %s %% dead rows), as pgstattuple_approx measured', pg_size_pretty((t.approx_free_space + t.dead_tuple_len)::bigint), pg_size_pretty(t.table_len),
              round(t.approx_free_percent::numeric, 1), round(t.dead_tuple_percent::numeric, 1)) AS detail,
       jsonb_build_object('bytes', t.table_len, 'free_bytes', t.approx_free_space, 'dead_bytes', t.dead_tuple_len, 'scanned_percent', t.scanned_percent) AS evidence,
       format('VACUUM (FULL, ANALYZE) %s', r.object) AS fix_sql, jsonb_build_object('kind', 'vacuum', 'target', r.object, 'options', jsonb_build_object('full', true, 'analyze', true)) AS fix_job,
       'high' AS confidence
FROM relations r CROSS JOIN LATERAL {pgstattuple}.pgstattuple_approx(r.oid) t
WHERE r.kind IN ('r', 'm') AND r.bytes >= {min_bytes} AND t.approx_free_percent + t.dead_tuple_percent >= {min_percent}
ORDER BY t.approx_free_space + t.dead_tuple_len DESC, r.object
