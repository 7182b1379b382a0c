-- Referencing columns of each foreign key.
SELECT k.conrelid, k.conkey
FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0
