-- Makes a schedule, or changes the one of that name. It stays its owner's, unless he is gone.
INSERT INTO pitcrew.schedule_rows AS s
    (name, rule, time_zone, maintenance_window, jitter_seconds, catch_up, kinds, targets, target_names, options, next_run_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
        ARRAY(SELECT t.target::regclass::text FROM unnest($8) WITH ORDINALITY t (target, place) ORDER BY t.place), $9, $10)
ON CONFLICT (name) DO UPDATE
SET rule = excluded.rule, time_zone = excluded.time_zone, maintenance_window = excluded.maintenance_window,
    jitter_seconds = excluded.jitter_seconds, catch_up = excluded.catch_up,
    kinds = excluded.kinds, targets = excluded.targets, target_names = excluded.target_names, options = excluded.options,
    owner = coalesce(pitcrew.schedule_owner(s.owner, s.owner_name, s.origin), excluded.owner),
    owner_name = CASE WHEN pitcrew.schedule_owner(s.owner, s.owner_name, s.origin) IS NULL THEN excluded.owner_name ELSE s.owner_name END,
    next_run_at = excluded.next_run_at, paused_at = NULL, paused_because = NULL, origin = pitcrew.job_origin()
