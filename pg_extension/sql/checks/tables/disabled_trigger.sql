-- title: Disabled trigger
-- uses: relations
-- looked at: SELECT count(*) || ' triggers' FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid
SELECT CASE WHEN bool_or(t.tgisinternal) THEN 'critical' ELSE 'warn' END AS severity,
       r.object,
       format('%s disabled: %s%s', CASE count(*) WHEN 1 THEN '1 trigger is' ELSE count(*) || ' triggers are' END,
              -- A foreign key has two on each side.
              string_agg(DISTINCT coalesce(quote_ident(k.conname), quote_ident(t.tgname)), ', '),
              CASE WHEN bool_or(k.contype = 'f') THEN '; a foreign key is not checked'
                   WHEN bool_or(t.tgisinternal) THEN '; a deferrable constraint is not checked' ELSE '' END) AS detail,
       jsonb_build_object('triggers', jsonb_agg(t.tgname ORDER BY t.tgname), 'constraints', jsonb_agg(DISTINCT k.conname) FILTER (WHERE k.oid IS NOT NULL)) AS evidence,
       string_agg(format('ALTER TABLE %s ENABLE TRIGGER %s', r.object, quote_ident(t.tgname)), E';\n' ORDER BY t.tgname) AS fix_sql,
       NULL AS fix_job,
       'medium' AS confidence
FROM relations r
JOIN pg_trigger t ON t.tgrelid = r.oid AND t.tgenabled = 'D'
LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
GROUP BY r.object
ORDER BY 1, r.object
