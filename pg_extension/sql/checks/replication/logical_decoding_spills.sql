-- title: Logical decoding that spills to disk
-- default: min_bytes = 1073741824
-- looked at: SELECT count(*) || ' logical slots' FROM pg_replication_slots WHERE slot_type = 'logical'
SELECT 'info' AS severity, 'slot ' || quote_ident(s.slot_name) AS object,
       format('%s transactions went to disk before they were sent, %s in all, of %s that it decoded: logical_decoding_work_mem is %s', s.spill_txns, pg_size_pretty(s.spill_bytes),
              s.total_txns, current_setting('logical_decoding_work_mem')) AS detail,
       jsonb_build_object('spill_txns', s.spill_txns, 'spill_bytes', s.spill_bytes, 'total_txns', s.total_txns) AS evidence,
       -- In KiB, and each slot that is read takes as much.
       format(E'ALTER SYSTEM SET logical_decoding_work_mem = %s;\nSELECT pg_reload_conf()',
              (SELECT least(4 * g.setting::bigint, 1048576) FROM pg_settings g WHERE g.name = 'logical_decoding_work_mem')) AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_stat_replication_slots s
WHERE s.spill_txns > 0 AND s.spill_bytes >= {min_bytes}
ORDER BY s.spill_bytes DESC, 2
