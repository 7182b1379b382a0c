-- title: Column that is too uneven for its statistics
-- uses: relations, indexes, common_values
-- needs: column statistics
-- default: min_rows = 1000000
-- default: min_ratio = 4
-- looked at: SELECT count(*) || ' indexed columns' FROM (SELECT DISTINCT table_oid, first_column FROM indexes WHERE first_column > 0) c
SELECT 'info' AS severity, f.object || '.' || quote_ident(a.attname) AS object,
       format('its list of most common values is full at %s, the last of them is still %s times as common as the average of the other %s: the planner takes that average for each of those', f.target,
              round(f.ratio::numeric, 1), round((f.distinct_values - f.target)::numeric)) AS detail,
       jsonb_build_object('target', f.target, 'distinct_values', round(f.distinct_values), 'last_frequency', f.last_frequency, 'others_share', f.others_share) AS evidence,
       format(E'ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s;\nANALYZE %s (%I)', f.object, a.attname, least(4 * f.target, 1000), f.object, a.attname) AS fix_sql,
       jsonb_build_object('kind', 'statistics', 'target', f.object,
                          'options', jsonb_build_object('columns', jsonb_build_array(a.attname), 'target', least(4 * f.target, 1000))) AS fix_job,
       'medium' AS confidence
FROM (SELECT v.*, r.object, v.last_frequency * (v.distinct_values - v.target) / nullif(v.others_share, 0) AS ratio
      FROM common_values v
      JOIN relations r ON r.oid = v.table_oid AND r.tuples >= {min_rows}) f
JOIN pg_attribute a ON a.attrelid = f.table_oid AND a.attnum = f.number
WHERE f.target < 1000 AND f.others_share >= 0.1 AND f.ratio >= {min_ratio}
ORDER BY f.ratio DESC, 2
