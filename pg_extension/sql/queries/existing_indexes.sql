-- Key columns of each valid B-tree over the whole of table $1, up to the first expression.
SELECT (
    SELECT array_agg(k.number ORDER BY k.position)
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, position)
    WHERE k.position <= i.indnkeyatts
      AND NOT EXISTS (
          SELECT 1 FROM unnest(i.indkey::int2[]) WITH ORDINALITY e(number, position)
          WHERE e.number = 0 AND e.position <= k.position
      )
)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND a.amname = 'btree'
