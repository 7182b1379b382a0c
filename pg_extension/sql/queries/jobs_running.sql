-- Jobs that have a worker, or had one when the server went down.
SELECT j.id, j.kind, j.target::oid, j.submitter::oid, j.options::text, j.index_oid,
       coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = j.target), j.target::oid),
       j.touched, j.attempts
FROM pitcrew.jobs j
WHERE j.state IN ('waiting_for_lock', 'running')
ORDER BY j.id
LIMIT 1000
