-- title: Nothing ends a forgotten transaction
-- looked at: SELECT 'idle_in_transaction_session_timeout = ' || current_setting('idle_in_transaction_session_timeout')
SELECT 'info' AS severity, s.name AS object,
       'idle_in_transaction_session_timeout is 0: a client that forgets its transaction keeps locks and dead rows for ever' AS detail,
       jsonb_build_object('setting', s.setting, 'source', s.source) AS evidence,
       E'ALTER SYSTEM SET idle_in_transaction_session_timeout = ''10min'';\nSELECT pg_reload_conf()' AS fix_sql,
       NULL AS fix_job, 'medium' AS confidence
FROM pg_settings s WHERE s.name = 'idle_in_transaction_session_timeout' AND s.setting = '0'
