GRANT INSERT (kind, target, options, command) ON pitcrew.jobs TO {role};
GRANT INSERT (job_id) ON pitcrew.job_cancel_requests TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.job_origin() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.submit_job(text, regclass, jsonb) TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.cancel_job(bigint) TO {role};
GRANT INSERT (cache_key, reason, until), DELETE ON pitcrew.suppressed_findings TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.history_sample() TO {role};
