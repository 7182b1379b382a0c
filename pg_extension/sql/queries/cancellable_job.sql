-- Whether job $1 is unfinished, and whether the current role may cancel it.
SELECT j.state IN ('queued', 'waiting_for_lock', 'running'),
       pg_has_role(current_user, j.submitter::oid, 'USAGE')
FROM pitcrew.jobs j
WHERE j.id = $1
