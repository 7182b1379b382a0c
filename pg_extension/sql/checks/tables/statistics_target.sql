-- title: Column that is too uneven for its statistics
-- uses: relations, indexes
-- needs: column statistics
-- default: min_rows = 1000000
-- default: min_ratio = 4
-- looked at: SELECT count(*) || ' indexed columns' FROM (SELECT DISTINCT table_oid, first_column FROM indexes WHERE first_column > 0) c
SELECT 'info' AS severity, f.object || '.' || quote_ident(f.attname) AS object,
       format('its list of most common values is full at %s, the last of them is still %s times as common as the average of the other %s: the planner takes that average for each of those', f.target,
              round(f.ratio::numeric, 1), round((f.distinct_values - f.target)::numeric)) AS detail,
       jsonb_build_object('target', f.target, 'distinct_values', round(f.distinct_values), 'last_frequency', f.last_frequency, 'others_share', f.others_share) AS evidence,
       format(E'ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s;\nANALYZE %s (%I)', f.object, f.attname, least(4 * f.target, 1000), f.object, f.attname) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM (SELECT g.*, g.last_frequency * (g.distinct_values - g.target) / nullif(g.others_share, 0) AS ratio
      FROM (SELECT r.object, a.attname, cardinality(m.frequencies) AS target, m.frequencies[cardinality(m.frequencies)]::float8 AS last_frequency,
                   CASE WHEN s.stadistinct < 0 THEN -s.stadistinct * r.tuples ELSE s.stadistinct END AS distinct_values,
                   1 - s.stanullfrac - (SELECT sum(q) FROM unnest(m.frequencies) q) AS others_share,
                   coalesce(nullif(a.attstattarget, -1), current_setting('default_statistics_target')::int) AS wanted
            FROM relations r
            JOIN (SELECT DISTINCT i.table_oid, i.first_column FROM indexes i WHERE i.first_column > 0) c ON c.table_oid = r.oid
            JOIN pg_statistic s ON s.starelid = r.oid AND s.staattnum = c.first_column AND NOT s.stainherit
            JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.first_column
            -- Of the kinds of statistics 1 is the most common values (pg_statistic.h, STATISTIC_KIND_MCV).
            CROSS JOIN LATERAL (SELECT CASE 1 WHEN s.stakind1 THEN s.stanumbers1 WHEN s.stakind2 THEN s.stanumbers2 WHEN s.stakind3 THEN s.stanumbers3
                                              WHEN s.stakind4 THEN s.stanumbers4 WHEN s.stakind5 THEN s.stanumbers5 END AS frequencies) m
            WHERE r.tuples >= {min_rows}) g
      WHERE g.target >= g.wanted) f
WHERE f.target < 1000 AND f.others_share >= 0.1 AND f.ratio >= {min_ratio}
ORDER BY f.ratio DESC, 2
-- without pg_statistic
SELECT 'info' AS severity, f.object || '.' || quote_ident(f.attname) AS object,
       format('its list of most common values is full at %s, the last of them is still %s times as common as the average of the other %s: the planner takes that average for each of those', f.target,
              round(f.ratio::numeric, 1), round((f.distinct_values - f.target)::numeric)) AS detail,
       jsonb_build_object('target', f.target, 'distinct_values', round(f.distinct_values), 'last_frequency', f.last_frequency, 'others_share', f.others_share) AS evidence,
       format(E'ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s;\nANALYZE %s (%I)', f.object, f.attname, least(4 * f.target, 1000), f.object, f.attname) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM (SELECT g.*, g.last_frequency * (g.distinct_values - g.target) / nullif(g.others_share, 0) AS ratio
      FROM (SELECT r.object, a.attname, cardinality(s.most_common_freqs) AS target, s.most_common_freqs[cardinality(s.most_common_freqs)]::float8 AS last_frequency,
                   CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * r.tuples ELSE s.n_distinct END AS distinct_values,
                   1 - s.null_frac - (SELECT sum(q) FROM unnest(s.most_common_freqs) q) AS others_share,
                   coalesce(nullif(a.attstattarget, -1), current_setting('default_statistics_target')::int) AS wanted
            FROM relations r
            JOIN (SELECT DISTINCT i.table_oid, i.first_column FROM indexes i WHERE i.first_column > 0) c ON c.table_oid = r.oid
            JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.first_column
            JOIN pg_stats s ON s.schemaname = r.schema_name::name AND s.tablename = r.name::name AND s.attname = a.attname AND NOT s.inherited
            WHERE r.tuples >= {min_rows}) g
      WHERE g.target >= g.wanted) f
WHERE f.target < 1000 AND f.others_share >= 0.1 AND f.ratio >= {min_ratio}
ORDER BY f.ratio DESC, 2
