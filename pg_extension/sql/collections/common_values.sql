-- title: leading columns of indexes whose list of most common values is full; shares and no values
-- uses: relations, indexes
WITH full_lists AS MATERIALIZED (
    -- The few that can be full first: of all other columns no more has to be read.
    SELECT s.starelid, s.staattnum, s.stadistinct, s.stanullfrac, m.frequencies
    FROM pg_statistic s
    -- Of the kinds of statistics 1 is the most common values (pg_statistic.h, STATISTIC_KIND_MCV).
    CROSS JOIN LATERAL (SELECT CASE 1 WHEN s.stakind1 THEN s.stanumbers1 WHEN s.stakind2 THEN s.stanumbers2 WHEN s.stakind3 THEN s.stanumbers3
                                      WHEN s.stakind4 THEN s.stanumbers4 WHEN s.stakind5 THEN s.stanumbers5 END AS frequencies) m
    WHERE NOT s.stainherit
      AND cardinality(m.frequencies) >= (SELECT least(current_setting('default_statistics_target')::int, min(o.attstattarget)) FROM pg_attribute o WHERE o.attstattarget > 0))
SELECT s.starelid AS table_oid, s.staattnum::int AS number, cardinality(s.frequencies) AS target, s.frequencies[cardinality(s.frequencies)]::float8 AS last_frequency,
       CASE WHEN s.stadistinct < 0 THEN -s.stadistinct * r.tuples ELSE s.stadistinct END AS distinct_values,
       1 - s.stanullfrac - (SELECT sum(q) FROM unnest(s.frequencies) q) AS others_share
FROM full_lists s
JOIN relations r ON r.oid = s.starelid
JOIN pg_attribute a ON a.attrelid = s.starelid AND a.attnum = s.staattnum
WHERE cardinality(s.frequencies) >= coalesce(nullif(a.attstattarget, -1), current_setting('default_statistics_target')::int)
  AND EXISTS (SELECT FROM indexes i WHERE i.table_oid = s.starelid AND i.first_column = s.staattnum)
-- without pg_statistic
SELECT g.* FROM (
    SELECT c.table_oid, c.first_column AS number, cardinality(s.most_common_freqs) AS target,
           s.most_common_freqs[cardinality(s.most_common_freqs)]::float8 AS last_frequency,
           CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * r.tuples ELSE s.n_distinct END AS distinct_values,
           1 - s.null_frac - (SELECT sum(q) FROM unnest(s.most_common_freqs) q) AS others_share
    FROM relations r
    JOIN (SELECT DISTINCT i.table_oid, i.first_column FROM indexes i WHERE i.first_column > 0) c ON c.table_oid = r.oid
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.first_column
    JOIN pg_stats s ON s.schemaname = r.schema_name::name AND s.tablename = r.name::name AND s.attname = a.attname AND NOT s.inherited) g
JOIN pg_attribute a ON a.attrelid = g.table_oid AND a.attnum = g.number
WHERE g.target >= coalesce(nullif(a.attstattarget, -1), current_setting('default_statistics_target')::int)
