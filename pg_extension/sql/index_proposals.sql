-- The proposals of the document as rows.
CREATE FUNCTION pitcrew.index_proposals(
    queries text[] DEFAULT NULL, weights double precision[] DEFAULT NULL, leave_alone regclass[] DEFAULT NULL
) RETURNS TABLE (
    index_name text, table_name text, kind text, instead text, ddl text[], bytes_freed bigint, scans bigint, scans_since text,
    statements integer, cost_before double precision, cost_after double precision, confidence text, because text[], detail text,
    cache_key text
)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.index_name, p.table_name, p.kind, p.instead, p.ddl, p.bytes_freed, p.scans, p.scans_since, p.statements,
           p.cost_before, p.cost_after, p.confidence, p.because, p.detail, p.cache_key
    FROM jsonb_to_recordset(
        pitcrew.suggest_indexes_json(queries => index_proposals.queries, weights => index_proposals.weights,
                                     leave_alone => index_proposals.leave_alone) -> 'proposals'
    ) p (index_name text, table_name text, kind text, instead text, ddl text[], bytes_freed bigint, scans bigint, scans_since text,
         statements integer, cost_before double precision, cost_after double precision, confidence text, because text[],
         detail text, cache_key text)
$$;
COMMENT ON FUNCTION pitcrew.index_proposals(text[], double precision[], regclass[]) IS
    'Indexes that could go, because another one is the same (duplicate), begins the same way (covered), could be one with it (merge), or because nothing reads them (unused): none of the workload''s statements gets dearer. Nothing is dropped. What backs a constraint, is a replica identity or the last help of a foreign key is never among them.';
