-- title: Checkpoints come before their time
-- uses: checkpoints
-- default: min_count = 10
-- default: min_percent = 20
-- looked at: SELECT whole || ' checkpoints' FROM checkpoints
SELECT 'warn' AS severity, 'max_wal_size' AS object,
       format('%s of %s checkpoints (%s %%) were requested, as WAL had filled max_wal_size (%s) or somebody asked: each makes writes dearer for a while', f.requested, f.whole, round(f.percent), current_setting('max_wal_size')) AS detail,
       jsonb_build_object('requested', f.requested, 'checkpoints', f.whole) AS evidence,
       format(E'ALTER SYSTEM SET max_wal_size = ''%sMB'';\nSELECT pg_reload_conf()', 2 * s.setting::bigint) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM (SELECT c.*, 100.0 * c.requested / nullif(c.whole, 0) AS percent FROM checkpoints c) f
JOIN pg_settings s ON s.name = 'max_wal_size'
WHERE f.requested >= {min_count} AND f.percent >= {min_percent}
