-- The index of partition $1 that is what the partitioned index $2 is, and a part of none yet: ATTACH PARTITION takes it.
-- With which storage parameters it was built is its own.
WITH defined AS (
    SELECT i.indexrelid, i.indrelid,
           regexp_replace(substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*'), ' WITH \([a-z_]+=''[^'']*''(, [a-z_]+=''[^'']*'')*\)', '') AS definition
    FROM pg_index i
    WHERE (i.indrelid = $1 OR i.indexrelid = $2) AND NOT i.indisunique
)
SELECT i.indexrelid
FROM defined d
JOIN pg_index i ON i.indexrelid = d.indexrelid
JOIN pg_class c ON c.oid = i.indexrelid
WHERE d.indrelid = $1
  AND d.definition = (SELECT p.definition FROM defined p WHERE p.indexrelid = $2)
  AND i.indisvalid AND i.indisready AND i.indislive AND NOT c.relispartition
ORDER BY i.indexrelid
LIMIT 1
