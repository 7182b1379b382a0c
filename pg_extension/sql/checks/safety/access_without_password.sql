-- title: The server lets people in without asking
-- looked at: SELECT count(*) || ' lines of pg_hba.conf' FROM pg_hba_file_rules
SELECT CASE WHEN f.auth_method = 'password' THEN 'warn' ELSE 'critical' END AS severity,
       format('pg_hba.conf line %s', f.line_number) AS object,
       CASE f.auth_method WHEN 'password' THEN format('type %s for %s sends passwords as they are typed: scram-sha-256 does not', f.type, array_to_string(f.user_name, ', '))
                          ELSE format('whoever reaches it over %s (%s) is %s of database %s without a password (trust)', f.type, coalesce(f.address || coalesce('/' || f.netmask, ''), 'any address'), array_to_string(f.user_name, ', '),
                                      array_to_string(f.database, ', ')) END AS detail,
       jsonb_build_object('type', f.type, 'database', f.database, 'user', f.user_name, 'address', f.address, 'netmask', f.netmask, 'method', f.auth_method) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pg_hba_file_rules f
WHERE f.error IS NULL AND f.type <> 'local'
  AND (f.auth_method = 'trust' OR f.auth_method = 'password' AND f.type <> 'hostssl')
  -- Who is on this machine is not on the network.
  AND NOT (f.auth_method = 'trust'
           AND (f.address IN ('localhost', 'samehost')
                OR f.address LIKE '127.%' AND f.netmask LIKE '255.%'
                OR f.address = '::1' AND f.netmask = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'))
ORDER BY f.line_number
