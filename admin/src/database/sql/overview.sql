SELECT pg_catalog.current_setting('server_version') AS server_version,
       pg_catalog.current_database() AS database,
       pg_catalog.pg_database_size(d.datname) AS size_bytes,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       pg_catalog.current_setting('max_connections')::bigint AS max_connections,
       round(d.blks_hit * 100.0 / nullif(d.blks_hit + d.blks_read, 0), 2) AS buffer_hit_percent,
       (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_pitcrew') AS extension_version,
       NULL::double precision AS mean_ms
FROM pg_catalog.pg_stat_database AS d
WHERE d.datname = pg_catalog.current_database()
