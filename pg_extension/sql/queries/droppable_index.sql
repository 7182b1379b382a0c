-- Why index $1 may not be dropped by a job; NULL when it may: a finished job of this very database made it, it is still
-- what that job made, and nothing depends on it.
SELECT CASE
    WHEN j.id IS NULL THEN 'no finished create_index job made it'
    WHEN j.after->>'index' IS DISTINCT FROM hashtextextended(pg_get_indexdef(i.indexrelid), 0)::text THEN 'it is not any more what job ' || j.id || ' made'
    WHEN i.indisreplident THEN 'it is its table''s replica identity'
    WHEN EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid) THEN 'a constraint needs it'
    WHEN EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) THEN 'it is a part of a partitioned index'
END
FROM pg_index i
LEFT JOIN LATERAL (
    SELECT j.id, j.after FROM pitcrew.jobs j
    WHERE j.kind = 'create_index' AND j.state = 'done' AND j.index_oid = i.indexrelid AND j.origin = pitcrew.job_origin()
    ORDER BY j.id DESC LIMIT 1
) j ON true
WHERE i.indexrelid = $1
