-- title: Statement that got slower than it was
-- needs: extension pg_pitcrew, extension pg_stat_statements, role pg_read_all_stats, setting pitcrew.history
-- default: min_calls = 20
-- default: min_ratio = 1.5
-- default: warn_ratio = 3
-- looked at: SELECT count(*) || ' ticks of history, the last hour against the 7 days before' FROM pitcrew.history_ticks
SELECT CASE WHEN r.ratio >= {warn_ratio} THEN 'warn' ELSE 'info' END AS severity, 'query ' || r.queryid AS object,
       format('%s: %s', r.detail, coalesce(regexp_replace(left(r.query, 200), '\s+', ' ', 'g'), 'a utility statement')) AS detail,
       jsonb_build_object('queryid', r.queryid, 'baseline_ms', r.baseline_ms, 'recent_ms', r.recent_ms, 'ratio', r.ratio, 'score', r.score, 'recent_calls', r.recent_calls,
                          'extra_ms', r.extra_ms, 'after', r.after, 'at', r.at, 'changes', r.changes) AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
FROM pitcrew.regressions(min_calls => greatest({min_calls}, 1)::bigint, min_ratio => greatest({min_ratio}, 1)) r
UNION ALL
-- The function wants six ticks of a statement before it calls them its usual time.
SELECT 'skipped', NULL, format('the history has %s ticks before the last hour and %s in it, and this needs 6 and 1: pitcrew.history_status() says how far it is', t.before, t.recent),
       NULL, NULL, NULL, NULL
FROM (SELECT count(*) FILTER (WHERE k.at <= clock_timestamp() - interval '1 hour') AS before, count(*) FILTER (WHERE k.at > clock_timestamp() - interval '1 hour') AS recent
      FROM pitcrew.history_ticks k WHERE k.at > clock_timestamp() - interval '7 days 1 hour') t
WHERE t.before < 6 OR t.recent < 1
