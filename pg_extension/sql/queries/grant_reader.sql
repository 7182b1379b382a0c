GRANT USAGE ON SCHEMA pitcrew TO {role};
GRANT SELECT ON pitcrew.jobs TO {role};
GRANT SELECT ON pitcrew.slow_queries TO {role};
GRANT SELECT ON pitcrew.table_stats TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.version() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.status() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.slow_query_rows() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.workload() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.suggest_indexes(integer, integer, double precision, text[]) TO {role};
