-- search_path that role $1 begins with in this database; NULL where nobody said what.
SELECT (
    SELECT substr(c.setting, strpos(c.setting, '=') + 1)
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c(setting)
    WHERE s.setrole IN ($1, 0) AND split_part(c.setting, '=', 1) = 'search_path'
      AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
    ORDER BY s.setrole = 0, s.setdatabase = 0
    LIMIT 1
)
