GRANT INSERT (kind, target, options, command) ON pitcrew.jobs TO {role};
GRANT INSERT (job_id), SELECT (job_id) ON pitcrew.job_cancel_requests TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.submit_job(text, regclass, jsonb) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.cancel_job(bigint) TO {role};
GRANT INSERT (cache_key, reason, until), DELETE ON pitcrew.suppressed_findings TO {role};
GRANT INSERT (name, rule, time_zone, maintenance_window, jitter_seconds, catch_up, kinds, targets, target_names, options, next_run_at) ON pitcrew.schedule_rows TO {role};
GRANT UPDATE (owner, owner_name, rule, time_zone, maintenance_window, jitter_seconds, catch_up, kinds, targets, target_names, options, next_run_at, run_now, paused_at, paused_because, origin), DELETE
    ON pitcrew.schedule_rows TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.schedule(text, text, jsonb, jsonb, text, integer, text) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.schedule_nightly(jsonb, text) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.unschedule(text) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.pause_schedule(text, text) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.resume_schedule(text) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.run_schedule(text) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.history_sample() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.capture_reset() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.refresh_advice() TO {role};
