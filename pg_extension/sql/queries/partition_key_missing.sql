-- What partitioned table $1 is partitioned by and columns $2 do not have; NULL where they have all.
SELECT string_agg(coalesce(quote_ident(a.attname), 'an expression'), ', ' ORDER BY k.place)
FROM pg_partitioned_table p
CROSS JOIN LATERAL unnest(p.partattrs::int2[]) WITH ORDINALITY k (number, place)
LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.number AND k.number > 0
WHERE p.partrelid = $1 AND (a.attname IS NULL OR a.attname <> ALL ($2::name[]))
