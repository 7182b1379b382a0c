-- title: leading columns of indexes whose list of most common values is full; shares and no values
-- uses: relations, indexes
SELECT l.* FROM (
    SELECT s.starelid AS table_oid, s.staattnum::int AS number, cardinality(m.frequencies) AS target,
           m.frequencies[cardinality(m.frequencies)]::float8 AS last_frequency,
           CASE WHEN s.stadistinct < 0 THEN -s.stadistinct * r.tuples ELSE s.stadistinct END AS distinct_values,
           1 - s.stanullfrac - (SELECT sum(q) FROM unnest(m.frequencies) q) AS others_share
    FROM relations r
    JOIN pg_statistic s ON s.starelid = r.oid AND NOT s.stainherit
    -- Of the kinds of statistics 1 is the most common values (pg_statistic.h, STATISTIC_KIND_MCV).
    CROSS JOIN LATERAL (SELECT CASE 1 WHEN s.stakind1 THEN s.stanumbers1 WHEN s.stakind2 THEN s.stanumbers2 WHEN s.stakind3 THEN s.stanumbers3
                                      WHEN s.stakind4 THEN s.stanumbers4 WHEN s.stakind5 THEN s.stanumbers5 END AS frequencies) m
    -- ANALYZE reads 300 rows for each entry of the list (30,000 by default): of a small table it has seen every row.
    WHERE r.tuples >= 10000
      AND EXISTS (SELECT FROM indexes i WHERE i.table_oid = s.starelid AND i.first_column = s.staattnum)
    OFFSET 0) l
WHERE l.target >= coalesce((SELECT nullif(a.attstattarget, -1) FROM pg_attribute a WHERE a.attrelid = l.table_oid AND a.attnum = l.number),
                           current_setting('default_statistics_target')::int)
-- without pg_statistic
SELECT g.* FROM (
    SELECT c.table_oid, c.first_column AS number, cardinality(s.most_common_freqs) AS target,
           s.most_common_freqs[cardinality(s.most_common_freqs)]::float8 AS last_frequency,
           CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * r.tuples ELSE s.n_distinct END AS distinct_values,
           1 - s.null_frac - (SELECT sum(q) FROM unnest(s.most_common_freqs) q) AS others_share
    FROM relations r
    JOIN (SELECT DISTINCT i.table_oid, i.first_column FROM indexes i WHERE i.first_column > 0) c ON c.table_oid = r.oid
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.first_column
    JOIN pg_stats s ON s.schemaname = r.schema_name::name AND s.tablename = r.name::name AND s.attname = a.attname AND NOT s.inherited
    WHERE r.tuples >= 10000) g
JOIN pg_attribute a ON a.attrelid = g.table_oid AND a.attnum = g.number
WHERE g.target >= coalesce(nullif(a.attstattarget, -1), current_setting('default_statistics_target')::int)
