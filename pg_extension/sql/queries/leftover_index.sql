-- Whether $1 is an index on $2 (or its partition or toast table) that a job of kind $3 left and that nothing depends
-- on; NULL when it is gone. A build over partitions made every part of it, valid or not; once the whole is valid nothing of it
-- is left over, and it may have parts that somebody else made. A reindex leaves what it named _ccnew or _ccold.
SELECT (
SELECT (i.indrelid = $2
        OR i.indrelid IN (SELECT p.relid FROM pg_partition_tree($2::oid::regclass) p)
        OR i.indrelid = (SELECT t.reltoastrelid FROM pg_class t WHERE t.oid = $2))
   AND NOT i.indisreplident
   AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)
   AND CASE $3
       WHEN 'create_index' THEN CASE (SELECT t.relkind FROM pg_class t WHERE t.oid = $2)
           WHEN 'p' THEN NOT EXISTS (SELECT 1 FROM pg_index w
                                     WHERE w.indexrelid = pg_partition_root(i.indexrelid) AND w.indrelid = $2 AND w.indisvalid)
           ELSE NOT i.indisvalid
           END
       ELSE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
       END
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indexrelid = $1
)
