-- Whether collation $1 sorts by bytes, so that what begins with a text lies together in a B-tree of the default operator class.
SELECT CASE s.provider
    WHEN 'b' THEN true
    WHEN 'c' THEN s.name IN ('C', 'POSIX')
    ELSE false
END
FROM pg_collation c
CROSS JOIN (SELECT * FROM pg_database WHERE datname = current_database()) d
CROSS JOIN LATERAL (
    SELECT CASE c.collprovider WHEN 'd' THEN d.datlocprovider ELSE c.collprovider END AS provider,
           CASE c.collprovider WHEN 'd' THEN d.datcollate ELSE c.collcollate END AS name
) s
WHERE c.oid = $1
