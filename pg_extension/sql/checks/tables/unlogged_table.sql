-- title: Unlogged table
-- uses: relations
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind = 'r'
SELECT 'info' AS severity,
       r.object,
       format('unlogged: its %s rows are lost in a crash and are not on any standby', round(r.tuples)) AS detail,
       jsonb_build_object('rows', r.tuples, 'bytes', r.bytes) AS evidence,
       format('ALTER TABLE %s SET LOGGED', r.object) AS fix_sql,
       NULL AS fix_job,
       'low' AS confidence
FROM relations r
WHERE r.kind = 'r' AND r.persistence = 'u'
ORDER BY r.tuples DESC, r.object
