-- Stored columns and pages of each index of table $1 that keeps an update from being HOT, and whether it is unique.
SELECT i.indkey::int2[], c.relpages, i.indisunique
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = $1 AND i.indisready AND a.amname <> 'brin'
