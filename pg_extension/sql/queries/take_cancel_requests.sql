-- Takes all cancel requests; answers the unfinished jobs whose requester has the submitter's rights.
WITH taken AS (
    DELETE FROM pitcrew.job_cancel_requests RETURNING job_id, requester
)
SELECT DISTINCT j.id
FROM taken t
JOIN pitcrew.jobs j ON j.id = t.job_id
WHERE j.state IN ('queued', 'waiting_for_lock', 'running')
  AND pg_has_role(t.requester::oid, j.submitter::oid, 'USAGE')
