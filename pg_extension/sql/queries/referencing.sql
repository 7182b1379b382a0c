-- What the server asks for each row of tables $1 that goes, a row for each foreign key that refers to one; the table and its
-- referenced columns.
SELECT format('/* a foreign key''s: rows that refer to one that goes */ SELECT 1 FROM %s%I.%I x WHERE %s',
              CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname,
              (SELECT string_agg(format('x.%I = $%s', a.attname, f.place), ' AND ' ORDER BY f.place)
               FROM unnest(k.conkey) WITH ORDINALITY f (number, place)
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = f.number)),
       k.confrelid, k.confkey
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY ($1)
ORDER BY k.oid
