-- What became of each index that was suggested. Written by the extension alone, as its owner: what a row says was found by the
-- search, and nobody can put a statement there for others to run. Belongs to this server: none of it goes along in a dump.
CREATE TABLE pitcrew.advice (
    cache_key            text PRIMARY KEY,
    state                text NOT NULL DEFAULT 'proposed'
                         CHECK (state IN ('proposed', 'applied', 'verified', 'reverted', 'suppressed')),
    table_name           text NOT NULL,
    index_name           text NOT NULL,
    ddl                  text,
    job                  jsonb,
    kind                 text NOT NULL,
    confidence           text NOT NULL,
    gain_percent         double precision NOT NULL,
    cost_before          double precision NOT NULL,
    cost_after           double precision NOT NULL,
    write_cost           double precision NOT NULL,
    estimated_size_bytes bigint NOT NULL,
    queryids             bigint[] NOT NULL,
    proposed_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_proposed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    proposed_by          regrole NOT NULL,
    applied_at           timestamptz,
    job_id               bigint,
    verified_at          timestamptz,
    saved_percent        double precision,
    effect               jsonb,
    reverted_at          timestamptz,
    suppressed_at        timestamptz,
    relation             oid NOT NULL,
    index_oid            oid,
    definition_hash      bigint NOT NULL,
    counted              jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX advice_last_proposed_at ON pitcrew.advice (last_proposed_at);
COMMENT ON TABLE pitcrew.advice IS
    'What became of each index that pitcrew.suggest_indexes() suggested for the recorded workload, one row an index: looked at with each suggestion, each tick of the history and by pitcrew.refresh_advice(). The last 1,000; pitcrew.history_state counts those that were forgotten.';
COMMENT ON COLUMN pitcrew.advice.cache_key IS
    'As pitcrew.suggest_indexes() has it; where ddl is NULL a hash of that, with hidden: before it.';
COMMENT ON COLUMN pitcrew.advice.state IS
    'proposed; applied: a valid index of this definition is there, or one of this name that a job built; verified: and the statements that it was to help take at least 5 percent less time a call than before; reverted: it is gone again; suppressed: it is in pitcrew.suppressed_findings.';
COMMENT ON COLUMN pitcrew.advice.ddl IS
    'As it was proposed last, like everything up to proposed_by but proposed_at. NULL, and job too, where it may hold values of captured executions: pitcrew.suggest_indexes() shows it to those who may see them.';
COMMENT ON COLUMN pitcrew.advice.proposed_at IS 'The first time.';
COMMENT ON COLUMN pitcrew.advice.last_proposed_at IS 'To the minute.';
COMMENT ON COLUMN pitcrew.advice.proposed_by IS 'Whose call proposed it last.';
COMMENT ON COLUMN pitcrew.advice.applied_at IS 'When the job that built it ended; where no job did, when it was seen first.';
COMMENT ON COLUMN pitcrew.advice.job_id IS 'The job that built it; NULL where somebody else did.';
COMMENT ON COLUMN pitcrew.advice.saved_percent IS
    'Of the time that the statements'' calls since would have taken at the mean time a call that pg_stat_statements had when the index was seen first; negative where they got slower. NULL until 10 calls of one of them are counted on both sides.';
COMMENT ON COLUMN pitcrew.advice.effect IS 'The same for each statement: queryid, mean_ms_before, mean_ms_after, calls_before, calls_after.';
COMMENT ON COLUMN pitcrew.advice.definition_hash IS 'Of what stands behind the table''s name, as the server writes it, without parentheses and spaces.';
COMMENT ON COLUMN pitcrew.advice.counted IS 'What pg_stat_statements had counted of the statements when the index was seen first.';

-- Nobody but the extension reads it: with it somebody could try which values make a hash or a key of pitcrew.advice.
CREATE TABLE pitcrew.advice_seed (seed bigint NOT NULL);
INSERT INTO pitcrew.advice_seed SELECT hashtextextended(gen_random_uuid()::text, 0);
COMMENT ON TABLE pitcrew.advice_seed IS 'Makes hashes of definitions in pitcrew.advice unguessable.';
