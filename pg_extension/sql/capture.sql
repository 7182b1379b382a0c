CREATE VIEW pitcrew.captured AS SELECT * FROM pitcrew.captured_rows();
COMMENT ON VIEW pitcrew.captured IS
    'Recent executions in this database that were slow, failed or were cancelled (pitcrew.capture), the newest first: one''s own, and everybody''s for members of pg_read_all_stats. Literals and parameters are shown of one''s own statements, and of others under pitcrew.show_values. ended: ok, failed or cancelled. Rows and blocks are known of those that ended ok. plan_shape: equal for plans of the same nodes over the same tables and indexes.';

CREATE VIEW pitcrew.captured_statements AS SELECT * FROM pitcrew.captured_statement_rows();
COMMENT ON VIEW pitcrew.captured_statements IS
    'What the statements of this database took while pitcrew.capture was on, most time first, where pg_stat_statements is not preloaded. query: without its literals, of the last execution that was captured.';

CREATE VIEW pitcrew.plan_flips AS
WITH shapes AS (
    SELECT c.queryid, c.user_name, c.plan_shape, count(*) AS executions, avg(c.duration_ms) AS mean_ms,
           min(c.duration_ms) AS min_ms, max(c.duration_ms) AS max_ms, min(c.started_at) AS first_at, max(c.started_at) AS last_at,
           (array_agg(c.query ORDER BY c.id DESC))[1] AS query
    FROM pitcrew.captured c
    WHERE c.plan_shape IS NOT NULL AND c.duration_ms IS NOT NULL
    GROUP BY c.queryid, c.user_name, c.plan_shape
),
compared AS (
    SELECT s.*, count(*) OVER same AS shapes, min(s.mean_ms) OVER same AS fastest_ms
    FROM shapes s
    WINDOW same AS (PARTITION BY s.queryid, s.user_name)
)
SELECT queryid, user_name, query, plan_shape, shapes, executions, mean_ms, min_ms, max_ms,
       mean_ms / nullif(fastest_ms, 0) AS times_slower, first_at, last_at
FROM compared
WHERE shapes > 1
ORDER BY max(mean_ms / nullif(fastest_ms, 0)) OVER (PARTITION BY queryid, user_name) DESC NULLS LAST, queryid, user_name, mean_ms DESC;
COMMENT ON VIEW pitcrew.plan_flips IS
    'Statements that were captured with more than one shape of plan, a row a shape. times_slower: its mean duration against that of the statement''s fastest shape. Only captured executions count: with pitcrew.capture_min_duration above 0 the fast ones are missing.';
