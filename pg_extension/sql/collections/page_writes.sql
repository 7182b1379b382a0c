-- title: pages of relations that were written since the counters began, and those of them by sessions
SELECT b.buffers_backend AS own, b.buffers_backend + b.buffers_clean + b.buffers_checkpoint AS whole FROM pg_stat_bgwriter b
-- from version 16
-- Bulk reads and writes and vacuum have rings of their own, which they write out by design.
SELECT coalesce(sum(w.writes) FILTER (WHERE w.backend_type = 'client backend'), 0)::bigint AS own, coalesce(sum(w.writes), 0)::bigint AS whole
FROM pg_stat_io w WHERE w.object = 'relation' AND w.context = 'normal'
