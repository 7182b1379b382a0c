-- What the sessions of this database do, and who waits for whom. A statement's text holds values that are not everybody's: it is
-- named by its id, whose text in pg_stat_statements has none.
WITH waiting AS MATERIALIZED (
    SELECT pid, CASE WHEN wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(pid) ELSE '{}'::int[] END AS blocked_by
    FROM pg_catalog.pg_stat_activity
), known AS (
    SELECT a.pid, a.usename::text AS user_name, a.application_name, a.state, a.wait_event_type, a.wait_event,
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start) AS transaction_s,
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.state_change) AS state_s,
           a.query_id AS queryid, w.blocked_by,
           (SELECT pg_catalog.count(*) FROM waiting AS other WHERE a.pid = ANY (other.blocked_by)) AS blocks
    FROM pg_catalog.pg_stat_activity AS a JOIN waiting AS w USING (pid)
    WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
)
SELECT * FROM known
ORDER BY blocks DESC, pg_catalog.cardinality(blocked_by) > 0 DESC, transaction_s DESC NULLS LAST, pid
LIMIT $1
