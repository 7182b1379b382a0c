-- title: The WAL directory is larger than it should be
-- needs: role pg_monitor
-- default: min_ratio = 2
-- looked at: SELECT count(*) || ' files of WAL' FROM pg_ls_waldir()
SELECT 'warn' AS severity, 'pg_wal' AS object,
       format('%s in %s files where max_wal_size is %s and wal_keep_size %s: a slot, an archiver that fails or a checkpoint that is late keeps them; a full disk here stops the server', pg_size_pretty(f.bytes),
              f.files, pg_size_pretty(f.max_bytes), current_setting('wal_keep_size')) AS detail,
       jsonb_build_object('bytes', f.bytes, 'files', f.files, 'max_wal_bytes', f.max_bytes) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT sum(w.size)::bigint AS bytes, count(*) AS files, (SELECT s.setting::bigint * 1048576 FROM pg_settings s WHERE s.name = 'max_wal_size') AS max_bytes,
             (SELECT s.setting::bigint * 1048576 FROM pg_settings s WHERE s.name = 'wal_keep_size') AS kept_bytes
      FROM pg_ls_waldir() w) f
WHERE f.bytes >= {min_ratio} * greatest(f.max_bytes, f.kept_bytes)
