CREATE VIEW pitcrew.captured AS SELECT * FROM pitcrew.captured_rows();
COMMENT ON VIEW pitcrew.captured IS
    'Recent executions in this database that were slow, failed or were cancelled (pitcrew.capture), the newest first: one''s own, and everybody''s for members of pg_read_all_stats. Literals and parameters are shown of one''s own statements, and of others under pitcrew.show_values. ended: ok, failed or cancelled. Rows and blocks are known of those that ended ok. plan_shape: equal for plans of the same nodes over the same tables and indexes.';

CREATE VIEW pitcrew.captured_statements AS SELECT * FROM pitcrew.captured_statement_rows();
COMMENT ON VIEW pitcrew.captured_statements IS
    'What the statements of this database took while pitcrew.capture was on, most time first, where pg_stat_statements is not preloaded. query: without its literals, of the last execution that was captured.';

CREATE VIEW pitcrew.seen_plans AS SELECT * FROM pitcrew.seen_plan_rows();
COMMENT ON VIEW pitcrew.seen_plans IS
    'The plans that statements of this database were seen to run with while pitcrew.capture was on: each execution that was captured, and of fast ones of each statement one in ten seconds a session. plan: its first 24 nodes, what is below one in parentheses, of a partitioned table its partitions as one; relations: the tables and indexes that it reads. No plan of a statement that reads no table.';

CREATE VIEW pitcrew.plan_flips AS
WITH compared AS (
    SELECT s.*, count(*) OVER same AS shapes, min(s.mean_ms) OVER same AS fastest_ms
    FROM pitcrew.seen_plans s
    WINDOW same AS (PARTITION BY s.queryid, s.toplevel, s.user_name, CASE WHEN s.queryid IS NULL THEN s.query END)
)
SELECT queryid, user_name, query, plan_shape, plan, shapes, executions, mean_ms, min_ms, max_ms,
       mean_ms / nullif(fastest_ms, 0) AS times_slower, first_at, last_at, relations
FROM compared
WHERE shapes > 1 AND (queryid IS NOT NULL OR query IS NOT NULL)
ORDER BY max(mean_ms / nullif(fastest_ms, 0)) OVER (PARTITION BY queryid, user_name, query) DESC NULLS LAST, queryid, user_name, query, mean_ms DESC;
COMMENT ON VIEW pitcrew.plan_flips IS
    'Statements that were seen to run with more than one plan, a row a plan. times_slower: its mean duration against that of the statement''s fastest plan.';
