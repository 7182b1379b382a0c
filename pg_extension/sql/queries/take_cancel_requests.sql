-- Takes the cancel requests; answers the unfinished jobs whose requester has the submitter's rights. What somebody else holds, a request
-- or its job, waits for a later look.
WITH asked AS (
    SELECT r.ctid AS place, r.job_id FROM pitcrew.job_cancel_requests r FOR UPDATE SKIP LOCKED
), free AS (
    SELECT j.id FROM pitcrew.jobs j WHERE j.id IN (SELECT a.job_id FROM asked a) FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM pitcrew.job_cancel_requests r
    WHERE r.ctid = ANY (ARRAY(SELECT a.place FROM asked a
                              WHERE a.job_id IN (SELECT f.id FROM free f) OR NOT EXISTS (SELECT 1 FROM pitcrew.jobs j WHERE j.id = a.job_id)))
    RETURNING r.job_id, r.requester
)
UPDATE pitcrew.jobs j SET cancelled_at = coalesce(j.cancelled_at, clock_timestamp())
FROM taken t
WHERE j.id = t.job_id AND j.state IN ('queued', 'waiting_for_lock', 'running')
  AND pg_has_role(t.requester::oid, j.submitter::oid, 'USAGE')
RETURNING j.id
