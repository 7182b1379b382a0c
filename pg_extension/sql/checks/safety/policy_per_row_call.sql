-- title: Policy that calls a function for each row
-- uses: relations
-- default: min_rows = 1000
-- looked at: SELECT count(*) || ' policies' FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
SELECT 'warn' AS severity, format('policy %I on %s', f.polname, f.object) AS object,
       format('calls %s for each row that is looked at, of %s; written as (SELECT %s) it is called once a statement', f.calls, f.tuples, f.first_call) AS detail,
       jsonb_build_object('calls', f.calls, 'rows', f.tuples) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT p.polname, r.object, r.tuples, string_agg(DISTINCT c.call, ', ' ORDER BY c.call) AS calls, min(c.call) AS first_call
      FROM relations r
      JOIN pg_policy p ON p.polrelid = r.oid
      CROSS JOIN LATERAL (SELECT concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) AS text) x
      -- Functions that do not depend on the row: the setting of a session, and what users made without arguments. Those of the
      -- server itself are no dependency of a policy.
      CROSS JOIN LATERAL (SELECT 'current_setting(' AS start, 'current_setting(...)' AS call
                          UNION ALL
                          SELECT quote_ident(o.proname) || '()', quote_ident(o.proname) || '()'
                          FROM pg_depend d JOIN pg_proc o ON o.oid = d.refobjid
                          WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
                            AND o.pronargs = 0 AND o.provolatile = 's') c
      CROSS JOIN LATERAL (SELECT regexp_replace(c.start, '([^A-Za-z0-9_])', '\\\1', 'g') AS start) e
      WHERE r.has_row_security AND r.tuples >= {min_rows}
        -- More calls than such as stand right after a SELECT, with a schema, casts and parentheses between.
        AND (SELECT count(*) FROM regexp_matches(x.text, '(?:^|[^A-Za-z0-9_$"])' || e.start, 'g'))
          > (SELECT count(*) FROM regexp_matches(x.text, 'SELECT \(*(?:(?:[a-z0-9_]+|"(?:[^"]|"")*")\.)?' || e.start, 'g'))
      GROUP BY p.oid, p.polname, r.object, r.tuples) f
ORDER BY f.tuples DESC, 2
