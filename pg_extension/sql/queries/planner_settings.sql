-- Settings for the planner that a role ($1) has by ALTER ROLE, those for this database over those for all.
SELECT split_part(c.setting, '=', 1), substr(c.setting, strpos(c.setting, '=') + 1)
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c(setting)
JOIN pg_settings g ON g.name = split_part(c.setting, '=', 1)
WHERE s.setrole = $1
  AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
  AND g.context = 'user'
  AND (g.category LIKE 'Query Tuning%' OR g.name IN ('work_mem', 'hash_mem_multiplier'))
ORDER BY s.setdatabase, 1
