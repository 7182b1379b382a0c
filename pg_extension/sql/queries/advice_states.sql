-- Brings the states up to what is there and what is suppressed. {statements}: queryid, calls, total_ms.
-- What hangs on a table that somebody has to himself is looked at next time.
WITH locked AS MATERIALIZED (
    SELECT l.relation FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
),
there AS (
    SELECT DISTINCT ON (a.cache_key) a.cache_key, i.indexrelid, j.id, j.finished_at
    FROM pitcrew.advice a
    JOIN pg_index i ON i.indrelid = a.relation AND i.indisvalid AND a.relation NOT IN (SELECT l.relation FROM locked l)
    JOIN pg_class c ON c.oid = i.indexrelid
    CROSS JOIN pitcrew.advice_seed s
    LEFT JOIN LATERAL (
        SELECT j.id, j.finished_at FROM pitcrew.jobs j
        WHERE j.kind = 'create_index' AND j.state = 'done' AND j.index_oid = i.indexrelid
        ORDER BY j.id DESC LIMIT 1
    ) j ON true
    WHERE j.id IS NOT NULL AND c.relname = a.index_name
       -- The server decides where parentheses and spaces stand.
       OR hashtextextended(translate(substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*'), '() ', ''), s.seed) = a.definition_hash
    ORDER BY a.cache_key, j.id DESC NULLS LAST, i.indexrelid
),
next AS (
    SELECT a.cache_key, t.indexrelid, t.id, t.finished_at,
           CASE WHEN t.indexrelid IS NOT NULL THEN CASE WHEN a.state = 'verified' THEN 'verified' ELSE 'applied' END
                WHEN a.state IN ('applied', 'verified') THEN 'reverted'
                WHEN EXISTS (SELECT 1 FROM pitcrew.suppressed_findings f
                             WHERE a.cache_key IN (f.cache_key,
                                 'hidden:' || to_hex(hashtextextended(f.cache_key, (SELECT s.seed FROM pitcrew.advice_seed s)))) AND (f.until IS NULL OR f.until > clock_timestamp())) THEN 'suppressed'
                WHEN a.state = 'suppressed' THEN 'proposed'
                ELSE a.state END AS state
    FROM pitcrew.advice a LEFT JOIN there t USING (cache_key)
    WHERE a.relation NOT IN (SELECT l.relation FROM locked l)
),
changed AS (
    SELECT n.*, n.state = 'applied' AND a.state <> 'applied' AS is_new
    FROM next n JOIN pitcrew.advice a USING (cache_key)
    WHERE n.state <> a.state OR n.indexrelid <> a.index_oid
)
UPDATE pitcrew.advice a SET
    state = n.state,
    index_oid = coalesce(n.indexrelid, a.index_oid),
    applied_at = CASE WHEN n.is_new THEN coalesce(n.finished_at, clock_timestamp()) ELSE a.applied_at END,
    job_id = CASE WHEN n.is_new THEN n.id ELSE a.job_id END,
    counted = CASE WHEN n.is_new THEN coalesce((SELECT jsonb_agg(s) FROM {statements} s WHERE s.queryid = ANY (a.queryids)), '[]')
                   ELSE a.counted END,
    verified_at = CASE WHEN n.is_new THEN NULL ELSE a.verified_at END,
    saved_percent = CASE WHEN n.is_new THEN NULL ELSE a.saved_percent END,
    effect = CASE WHEN n.is_new THEN NULL ELSE a.effect END,
    reverted_at = CASE WHEN n.state = 'reverted' THEN clock_timestamp() ELSE a.reverted_at END,
    suppressed_at = CASE WHEN n.state = 'suppressed' AND a.state <> 'suppressed' THEN clock_timestamp() ELSE a.suppressed_at END
FROM changed n
WHERE n.cache_key = a.cache_key
