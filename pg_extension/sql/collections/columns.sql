-- title: what ANALYZE found in the columns of those tables; no values
-- uses: relations
SELECT r.oid AS table_oid, s.staattnum::int AS number, s.stanullfrac::float8 AS null_share, s.stawidth AS width,
       s.stadistinct::float8 AS distinct_values
FROM relations r
JOIN pg_statistic s ON s.starelid = r.oid AND NOT s.stainherit
-- without pg_statistic
SELECT r.oid AS table_oid, a.attnum::int AS number, s.null_frac::float8 AS null_share, s.avg_width AS width,
       s.n_distinct::float8 AS distinct_values
FROM relations r
JOIN pg_stats s ON s.schemaname = r.schema_name::name AND s.tablename = r.name::name AND NOT s.inherited
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = s.attname
