-- title: What keeps VACUUM from removing rows
-- needs: role pg_read_all_stats
-- default: min_transactions = 1000000
-- default: critical_transactions = 50000000
-- looked at: SELECT (SELECT count(*) FROM pg_stat_activity) || ' sessions, ' || (SELECT count(*) FROM pg_prepared_xacts) || ' prepared transactions, ' || (SELECT count(*) FROM pg_replication_slots) || ' replication slots'
SELECT CASE WHEN f.held >= {critical_transactions} THEN 'critical' ELSE 'warn' END AS severity,
       f.object,
       format('%s: rows that died in the last %s transactions cannot be removed', f.who, f.held) AS detail,
       jsonb_build_object('transactions', f.held, 'who', f.who) AS evidence,
       f.fix AS fix_sql, NULL AS fix_job, 'low' AS confidence
FROM (SELECT 'pid ' || a.pid AS object, greatest(age(a.backend_xmin), age(a.backend_xid)) AS held,
             format('user %s, application %s, %s', coalesce(quote_ident(a.usename), a.backend_type), quote_literal(a.application_name), coalesce(a.state, 'a background process')) AS who,
             CASE a.backend_type WHEN 'client backend' THEN format('SELECT pg_terminate_backend(%s)', a.pid) END AS fix
      FROM pg_stat_activity a
      -- A standby with a slot is told by the slot.
      WHERE coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL AND a.pid <> pg_backend_pid()
        -- A VACUUM that is not FULL keeps no other from removing rows (PROC_IN_VACUUM).
        AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
      UNION ALL
      SELECT 'prepared transaction ' || quote_literal(p.gid), age(p.transaction), format('prepared at %s by %s', p.prepared, quote_ident(p.owner)),
             CASE WHEN p.database = current_database() THEN format('ROLLBACK PREPARED %L', p.gid) END
      FROM pg_prepared_xacts p
      UNION ALL
      SELECT 'slot ' || quote_ident(s.slot_name), greatest(age(s.xmin), age(s.catalog_xmin)),
             format('a %s replication slot, %s', s.slot_type, CASE WHEN s.active THEN 'in use' ELSE 'not in use' END),
             CASE WHEN NOT s.active THEN format('SELECT pg_drop_replication_slot(%L)', s.slot_name) END
      FROM pg_replication_slots s) f
WHERE f.held >= {min_transactions}
ORDER BY f.held DESC, f.object
