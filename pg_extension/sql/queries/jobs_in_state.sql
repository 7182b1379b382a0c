-- Jobs in state $1 that belong to this database, oldest first.
SELECT j.id, j.kind, j.target::oid, j.submitter::oid, j.options::text, j.index_oid
FROM pitcrew.jobs j
WHERE j.state = $1
ORDER BY j.id
LIMIT 1000
