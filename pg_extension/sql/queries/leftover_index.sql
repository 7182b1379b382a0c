-- Whether $1 is an index on $2 that a failed concurrent build left behind and that nothing depends on; NULL when it is gone.
SELECT (
SELECT NOT i.indisvalid
   AND i.indrelid = $2
   AND NOT i.indisreplident
   AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)
FROM pg_index i
WHERE i.indexrelid = $1
)
