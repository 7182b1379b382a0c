-- title: Updates that write every index
-- uses: relations
-- needs: primary, setting track_counts
-- default: min_updates = 10000
-- default: max_percent = 50
-- looked at: SELECT count(*) || ' tables' FROM relations WHERE kind = 'r'
SELECT 'info' AS severity, r.object,
       format('%s of %s updates (%s %%) were heap-only: the others wrote a new entry into every index, for want of room in the page or as an indexed column changed', r.hot_updated,
              r.updated, round(100.0 * r.hot_updated / r.updated)) AS detail,
       jsonb_build_object('updated', r.updated, 'hot_updated', r.hot_updated, 'options', r.options) AS evidence,
       format('ALTER TABLE %s SET (fillfactor = 85)', r.object) AS fix_sql,
       NULL AS fix_job, 'low' AS confidence
FROM relations r
WHERE r.kind = 'r' AND r.updated >= {min_updates} AND 100.0 * r.hot_updated / greatest(r.updated, 1) <= {max_percent}
  AND NOT EXISTS (SELECT 1 FROM unnest(r.options) o (text) WHERE o.text LIKE 'fillfactor=%')
ORDER BY r.updated - r.hot_updated DESC, r.object
