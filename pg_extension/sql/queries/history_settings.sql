-- Tells which settings changed, of the server, of this database and of roles. Left out: what a session says for itself, what
-- is no setting of a person's, and names in $3, which only superusers may see. $1: begin, $2: end of the tick.
WITH known AS MATERIALIZED (
    SELECT s.name, s.setting, s.source
    FROM pg_settings s
    WHERE s.name <> ALL ($3)
      AND s.short_desc <> 'GUC placeholder variable'
      AND (s.context <> 'internal' OR s.name = 'server_version')
      AND s.name NOT IN ('application_name', 'is_superuser', 'role', 'session_authorization', 'seed')
      AND s.name NOT LIKE 'transaction\_%'
),
now AS MATERIALIZED (
    SELECT k.name AS key, current_setting(k.name) AS value
    FROM known k
    WHERE k.source NOT IN ('client', 'database', 'database user', 'user', 'session', 'interactive', 'test')
    UNION ALL
    SELECT k.name || CASE WHEN s.setrole <> 0 THEN ' for role ' || quote_ident(coalesce(r.rolname, s.setrole::text)) ELSE '' END
                  || CASE WHEN s.setdatabase <> 0 THEN ' in this database' ELSE '' END,
           substr(c.text, strpos(c.text, '=') + 1)
    FROM pg_db_role_setting s
    CROSS JOIN unnest(s.setconfig) c (text)
    JOIN known k ON k.name = split_part(c.text, '=', 1)
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
),
compared AS MATERIALIZED (
    SELECT coalesce(n.key, o.key) AS key, o.label AS old, n.value AS new, o.id, o.id IS NULL AS is_new
    FROM now n
    FULL JOIN (SELECT * FROM pitcrew.history_objects WHERE kind = 'g') o ON o.key = n.key
    WHERE n.value IS DISTINCT FROM o.label
      -- A setting that is not seen now may only be hidden by a session's own.
      AND (n.key IS NOT NULL OR strpos(o.key, ' ') > 0)
),
added AS (
    INSERT INTO pitcrew.history_objects (kind, key, label, changed_at)
    SELECT 'g', c.key, c.new, $2 FROM compared c WHERE c.is_new
),
changed AS (
    UPDATE pitcrew.history_objects o SET label = c.new, changed_at = $2
    FROM compared c WHERE o.id = c.id AND c.new IS NOT NULL
),
removed AS (
    DELETE FROM pitcrew.history_objects o USING compared c WHERE o.id = c.id AND c.new IS NULL
)
INSERT INTO pitcrew.history_events (at, began, event, object, old, new)
SELECT $2, $1, 'setting', c.key, c.old, c.new
FROM compared c
WHERE EXISTS (SELECT 1 FROM pitcrew.history_objects o WHERE o.kind = 'g')
ORDER BY c.key
LIMIT $4
