-- Queued jobs that may start now, oldest first; an index stands for its table.
SELECT j.id, j.kind, j.target::oid, j.submitter::oid, j.options::text, j.index_oid,
       coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = j.target), j.target::oid),
       j.touched, j.attempts
FROM pitcrew.jobs j
WHERE j.state = 'queued' AND (j.not_before IS NULL OR j.not_before <= clock_timestamp())
ORDER BY j.id
LIMIT 1000
