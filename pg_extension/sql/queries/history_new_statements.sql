-- Gives the query ids $1 their objects. Constants stand in the texts of utility statements: of those nothing is kept.
WITH texts AS MATERIALIZED (
    SELECT s.queryid, min(s.query) AS query
    FROM {schema}.pg_stat_statements(true) s
    WHERE s.queryid = ANY ($1)
    GROUP BY s.queryid
)
INSERT INTO pitcrew.history_objects (kind, key, label, changed_at)
SELECT 's', n.queryid::text,
       CASE WHEN t.query ~* '^[\s(]*(select|insert|update|delete|merge|with|values|table)\y' THEN left(t.query, 1000)
            ELSE 'a utility statement' END,
       clock_timestamp()
FROM unnest($1) n (queryid)
LEFT JOIN texts t USING (queryid)
RETURNING id, key::bigint
