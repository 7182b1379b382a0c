-- Nothing here is for everybody: pitcrew.grant_access(role, level) opens it. One line a function, so that a new one
-- is looked at (a test over pg_proc fails when one is forgotten).
REVOKE EXECUTE ON FUNCTION pitcrew.version() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.status() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.grant_access(regrole, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.job_origin() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.submit_job(text, regclass, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.cancel_job(bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.dry_run(text, regclass, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE pitcrew.wait_job(bigint, integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.schedule(text, text, jsonb, jsonb, text, integer, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.schedule_nightly(jsonb, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.schedule_preview(text, jsonb, text, timestamptz, integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.unschedule(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.pause_schedule(text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.resume_schedule(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.run_schedule(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.slow_query_rows() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.workload() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.suggest_indexes(integer, integer, double precision, text[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.check(text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.report(jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.checks() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.disk_space() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.pool_sample() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.pool_advice(jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pitcrew.autovacuum_advice(bigint) FROM PUBLIC;
