-- Findings that somebody has looked at and does not want to see again.
CREATE TABLE pitcrew.suppressed_findings (
    cache_key     text PRIMARY KEY CHECK (length(cache_key) BETWEEN 1 AND 1000),
    reason        text,
    until         timestamptz,
    suppressed_by name NOT NULL DEFAULT current_user,
    suppressed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- It goes along in a dump.
SELECT pg_catalog.pg_extension_config_dump('pitcrew.suppressed_findings', '');
COMMENT ON TABLE pitcrew.suppressed_findings IS
    'Findings that pitcrew.check() and pitcrew.report() leave out, and indexes that pitcrew.suggest_indexes() does: cache_key is that of the row, or a check''s name for all of it.';
COMMENT ON COLUMN pitcrew.suppressed_findings.until IS 'When the finding shows again; never where it is null.';
