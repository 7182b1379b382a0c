-- title: Sessions over the network without TLS
-- needs: role pg_read_all_stats
-- default: with_loopback = 0
-- looked at: SELECT count(*) || ' sessions' FROM pg_stat_ssl
SELECT 'warn' AS severity, format('%s@%s', f.usename, f.address) AS object,
       format('%s from %s as %s without TLS%s: whoever is on the way reads and changes what they say', CASE f.sessions WHEN 1 THEN '1 session' ELSE f.sessions || ' sessions' END, f.address,
              quote_ident(f.usename), CASE WHEN current_setting('ssl') = 'off' THEN ', and the server offers none (ssl = off)' ELSE '' END) AS detail,
       jsonb_build_object('user', f.usename, 'address', f.address, 'sessions', f.sessions, 'ssl', current_setting('ssl')) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM (SELECT a.usename, host(a.client_addr) AS address, count(*) AS sessions
      FROM pg_stat_ssl s JOIN pg_stat_activity a ON a.pid = s.pid
      WHERE NOT s.ssl AND a.client_addr IS NOT NULL
        -- On the machine itself nobody is on the way, unless a tunnel ends there.
        AND ({with_loopback} <> 0 OR NOT a.client_addr <<= inet '127.0.0.0/8' AND a.client_addr <> inet '::1')
      GROUP BY 1, 2) f
ORDER BY f.sessions DESC, 2
