-- title: the indexes that share their table and first column with another
-- uses: relations, indexes
SELECT i.*
FROM indexes i
WHERE (i.table_oid, i.first_column) IN (SELECT g.table_oid, g.first_column FROM indexes g GROUP BY 1, 2 HAVING count(*) > 1)
