-- Takes all cancel requests; answers the unfinished jobs whose requester has the submitter's rights.
WITH taken AS (
    DELETE FROM pitcrew.job_cancel_requests RETURNING job_id, requester
)
UPDATE pitcrew.jobs j SET cancelled_at = coalesce(j.cancelled_at, clock_timestamp())
FROM taken t
WHERE j.id = t.job_id AND j.state IN ('queued', 'waiting_for_lock', 'running')
  AND pg_has_role(t.requester::oid, j.submitter::oid, 'USAGE')
RETURNING j.id
