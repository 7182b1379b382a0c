-- Takes up schedule $1. One of another server finds its owner and its targets by their names, as they are here.
UPDATE pitcrew.schedule_rows s
SET paused_at = NULL, paused_because = NULL, next_run_at = NULL, origin = pitcrew.job_origin(),
    owner = pitcrew.schedule_owner(s.owner, s.owner_name, s.origin),
    targets = CASE WHEN s.origin = pitcrew.job_origin() THEN s.targets
                   ELSE (SELECT array_agg(to_regclass(t.name)::oid ORDER BY t.place) FROM unnest(s.target_names) WITH ORDINALITY t (name, place)) END
WHERE s.name = $1
