-- title: New passwords are kept as MD5
-- looked at: SELECT 'password_encryption = ' || current_setting('password_encryption')
SELECT 'warn' AS severity, s.name AS object,
       'password_encryption is md5: whoever reads a stored password can log in with it; set again, passwords are kept as scram-sha-256' AS detail,
       jsonb_build_object('setting', s.setting, 'source', s.source) AS evidence,
       E'ALTER SYSTEM SET password_encryption = ''scram-sha-256'';\nSELECT pg_reload_conf()' AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_settings s WHERE s.name = 'password_encryption' AND s.setting = 'md5'
