-- What the sampler keeps. One row a tick and kind of object, with arrays; names stand once, in history_objects. None of it
-- goes along in a dump: another server's counters cannot be continued. Only the sampler writes here, as the extension's
-- owner, and not where somebody put a trigger on one of these tables.
CREATE TABLE pitcrew.history_ticks (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began           timestamptz NOT NULL,
    at              timestamptz NOT NULL,
    merged          integer NOT NULL DEFAULT 1,
    gaps            text[] NOT NULL,
    server          text NOT NULL,
    boot            text NOT NULL,
    statistics_reset text NOT NULL,
    statements_reset text NOT NULL,
    left_out        integer NOT NULL DEFAULT 0,
    samples         integer NOT NULL DEFAULT 0,
    dropped_samples bigint NOT NULL DEFAULT 0,
    bytes           bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE pitcrew.history_ticks IS
    'One row a tick of the sampler, every pitcrew.history_interval for a day, one an hour before that. The oldest go when there is more than pitcrew.history_max_size.';
COMMENT ON COLUMN pitcrew.history_ticks.began IS 'When the tick before was taken: what is counted happened between began and at.';
COMMENT ON COLUMN pitcrew.history_ticks.merged IS 'Ticks that this row stands for.';
COMMENT ON COLUMN pitcrew.history_ticks.gaps IS
    'Why it does not simply continue the tick before: first, other server (a dump, a clone, a promoted standby), restart, statistics reset, statements reset, statements not read, statements not read before (in the tick before). What is counted then is a part of what happened, and no rate is shown.';
COMMENT ON COLUMN pitcrew.history_ticks.server IS 'System identifier, database OID and timeline where it was taken.';
COMMENT ON COLUMN pitcrew.history_ticks.boot IS 'When that server had been started.';
COMMENT ON COLUMN pitcrew.history_ticks.statistics_reset IS 'When the database''s statistics had been reset; empty for never.';
COMMENT ON COLUMN pitcrew.history_ticks.statements_reset IS 'The same of pg_stat_statements; empty where it was not read.';
COMMENT ON COLUMN pitcrew.history_ticks.left_out IS 'Statements, relations and events that were too many for one tick.';
COMMENT ON COLUMN pitcrew.history_ticks.samples IS 'Seconds in which the active sessions were looked at.';
COMMENT ON COLUMN pitcrew.history_ticks.dropped_samples IS 'Sessions seen in those seconds that found no room in shared memory.';
COMMENT ON COLUMN pitcrew.history_ticks.bytes IS 'What the tick takes, in bytes.';

CREATE TABLE pitcrew.history_objects (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       "char" NOT NULL CHECK (kind IN ('s', 't', 'i', 'w', 'g')),
    key        text NOT NULL,
    oid        oid,
    parent     text,
    label      text,
    is_valid   boolean,
    last       bigint[] NOT NULL DEFAULT '{}',
    first_tick bigint,
    changed_at timestamptz NOT NULL,
    gone_at    timestamptz,
    UNIQUE (kind, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1);
COMMENT ON TABLE pitcrew.history_objects IS
    'What history is kept of, by name: s statements, t tables, i indexes, w what sessions did, g settings.';
COMMENT ON COLUMN pitcrew.history_objects.key IS
    's: query id; t, i: schema and name, quoted; w: state, type of wait, wait event and query id, with | between; g: name, and for whom.';
COMMENT ON COLUMN pitcrew.history_objects.parent IS 'An index''s table.';
COMMENT ON COLUMN pitcrew.history_objects.label IS
    's: normalised text, cut after 1,000 characters, of utility statements none; i: definition; g: value.';
COMMENT ON COLUMN pitcrew.history_objects.first_tick IS
    't, i: the first tick of the relation that has the name now. What is older was another''s, which is dropped or called otherwise.';
COMMENT ON COLUMN pitcrew.history_objects.last IS 'The server''s counters when it changed last.';

CREATE TABLE pitcrew.history_samples (
    tick    bigint NOT NULL,
    kind    "char" NOT NULL,
    objects integer[] NOT NULL,
    numbers bigint[] NOT NULL,
    PRIMARY KEY (tick, kind)
);
COMMENT ON TABLE pitcrew.history_samples IS
    'What the objects that changed counted in one tick. kind: s statements, r tables and indexes, w what sessions did.';
COMMENT ON COLUMN pitcrew.history_samples.numbers IS
    'One metric after the other, each for all objects. s: calls, execution us, planning us, rows, blocks hit, blocks read, temporary blocks, WAL bytes. r: scans, rows read, rows fetched, rows inserted, updated, deleted, updated HOT, blocks asked for, blocks hit, vacuums, analyzes, then as they were at the end: bytes, live rows, dead rows. w: samples.';

CREATE TABLE pitcrew.history_events (
    at       timestamptz NOT NULL,
    began    timestamptz NOT NULL,
    event    text NOT NULL,
    object   text NOT NULL,
    parent   text,
    old      text,
    new      text
);
CREATE INDEX history_events_at ON pitcrew.history_events (at);
COMMENT ON TABLE pitcrew.history_events IS
    'What changed between two ticks. event: setting, index or table with created, dropped, recreated, renamed, invalid, valid.';
COMMENT ON COLUMN pitcrew.history_events.began IS 'It changed after this and not after at.';

CREATE TABLE pitcrew.history_state (
    is_only          boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    forgotten_ticks  bigint NOT NULL DEFAULT 0,
    forgotten_before timestamptz,
    shrunk_at        timestamptz,
    forgotten_advice bigint NOT NULL DEFAULT 0
);
INSERT INTO pitcrew.history_state DEFAULT VALUES;
COMMENT ON TABLE pitcrew.history_state IS 'What was forgotten to keep within pitcrew.history_max_size.';
COMMENT ON COLUMN pitcrew.history_state.forgotten_advice IS 'Rows of pitcrew.advice that were forgotten to keep within 1,000.';
COMMENT ON COLUMN pitcrew.history_state.shrunk_at IS 'When the history''s files were last written anew because they were too large.';

-- Of other users' statements only those may know who may see them in pg_stat_statements.
ALTER TABLE pitcrew.history_objects ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON pitcrew.history_objects FOR SELECT
    USING (kind NOT IN ('s', 'w') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'));

CREATE FUNCTION pitcrew.history_tick_bytes(tick bigint) RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- What is stored out of line lies in chunks with a header and an index entry each: a tenth more.
    SELECT 300 + (1.1 * (
        coalesce((SELECT sum(100 + pg_column_size(s.objects) + pg_column_size(s.numbers))
                  FROM pitcrew.history_samples s WHERE s.tick = $1), 0)
        + coalesce((SELECT sum(60 + pg_column_size(e.*)) FROM pitcrew.history_events e
                    JOIN pitcrew.history_ticks t ON t.id = $1 AND e.at > t.began AND e.at <= t.at), 0)))::bigint
$$;
COMMENT ON FUNCTION pitcrew.history_tick_bytes(bigint) IS 'What one tick takes on disk, in bytes.';
