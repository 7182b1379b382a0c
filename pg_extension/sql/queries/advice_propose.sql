-- Keeps one suggestion. What is suggested is not there: where it was, it is gone by now. Who asks again and again writes once a minute.
INSERT INTO pitcrew.advice AS a
    (cache_key, table_name, index_name, ddl, job, kind, confidence, gain_percent, cost_before, cost_after, write_cost,
     estimated_size_bytes, queryids, proposed_by, relation, definition_hash)
SELECT CASE WHEN $4::text IS NULL THEN 'hidden:' || to_hex(hashtextextended($1, s.seed)) ELSE $1 END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::oid::regrole, $15,
       hashtextextended(translate($16, '() ', ''), s.seed)
FROM pitcrew.advice_seed s
ON CONFLICT (cache_key) DO UPDATE SET
    state = CASE WHEN a.state = 'reverted' THEN 'proposed' ELSE a.state END,
    table_name = excluded.table_name, index_name = excluded.index_name, ddl = excluded.ddl, job = excluded.job, kind = excluded.kind,
    confidence = excluded.confidence, gain_percent = excluded.gain_percent, cost_before = excluded.cost_before,
    cost_after = excluded.cost_after, write_cost = excluded.write_cost, estimated_size_bytes = excluded.estimated_size_bytes,
    queryids = excluded.queryids, proposed_by = excluded.proposed_by, relation = excluded.relation,
    definition_hash = excluded.definition_hash,
    last_proposed_at = clock_timestamp()
WHERE a.state = 'reverted' OR a.ddl IS DISTINCT FROM excluded.ddl OR a.last_proposed_at < clock_timestamp() - interval '1 minute'
