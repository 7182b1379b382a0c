-- title: Release of PostgreSQL with known faults, or without support
-- default: min_days = 180
-- looked at: SELECT 'version ' || current_setting('server_version') || ', by the list of releases of 2026-11-28'
SELECT f.severity, f.object, f.detail, jsonb_build_object('version', s.major || '.' || s.minor, 'list_of', '2026-11-28') || f.evidence AS evidence,
       NULL AS fix_sql, NULL AS fix_job, NULL AS confidence
-- From PostgreSQL's release notes ("Migration to Version ...") and its versioning policy, as of 2026-11-28. What was released later
-- nobody knows here: half a year after that the list says nothing any more. Whoever renews it changes the dates.
FROM (SELECT v.number / 10000 AS major, v.number % 10000 AS minor, current_date > date '2027-05-31' AS is_past
      FROM (SELECT current_setting('server_version_num')::int AS number) v) s
CROSS JOIN LATERAL (
    SELECT b.severity, format('faults before %s.%s', b.major, b.fixed) AS object,
           format('version %s.%s, and %s.%s mended this: %s', s.major, s.minor, b.major, b.fixed, b.fault) AS detail,
           jsonb_build_object('fixed_in', b.major || '.' || b.fixed) AS evidence, 1 AS place, b.fixed AS number
    FROM (SELECT 'critical', 14, 4, 'an index that was built or rebuilt CONCURRENTLY may miss rows; rebuild those after the update'
          UNION ALL
          SELECT 'critical', m.major, m.fixed, 'some kinds of indexes give wrong results; the notes say which, rebuild those after the update'
          FROM (VALUES (13, 13), (14, 10), (15, 5), (16, 1)) m (major, fixed)
          UNION ALL
          SELECT 'critical', m.major, m.fixed, 'writes at the same time may damage a GIN index; rebuild those that give wrong results'
          FROM (VALUES (13, 14), (14, 11), (15, 6), (16, 2)) m (major, fixed)
          UNION ALL
          SELECT 'critical', m.major, m.fixed, 'a partition that was detached may have lost its foreign keys to a partitioned table, and hold rows that break them; the notes have the query that finds them'
          FROM (VALUES (13, 17), (14, 14), (15, 9), (16, 5), (17, 1)) m (major, fixed)
          UNION ALL
          SELECT 'critical', m.major, m.fixed, 'a foreign key of a partitioned table to itself may not hold; drop it and create it again after the update'
          FROM (VALUES (15, 13), (16, 9), (17, 5)) m (major, fixed)) b (severity, major, fixed, fault)
    WHERE b.major = s.major AND s.minor < b.fixed AND NOT s.is_past
    UNION ALL
    SELECT 'warn', format('version %s.%s', s.major, s.minor),
           format('%s.%s is out, perhaps a newer one: what was mended since %s.%s, security holes among it, is open here', n.major, n.minor, s.major, s.minor),
           jsonb_build_object('newest_known', n.major || '.' || n.minor), 2, 0
    FROM (VALUES (13, 23), (14, 25), (15, 20), (16, 15), (17, 12), (18, 6)) n (major, minor)
    WHERE n.major = s.major AND s.minor < n.minor AND NOT s.is_past
    UNION ALL
    SELECT CASE WHEN e.ends <= current_date THEN 'warn' ELSE 'info' END, 'PostgreSQL ' || e.major,
           format(CASE WHEN e.ends <= current_date THEN 'had its last release at %s: nobody mends it any more' ELSE 'has its last release at %s, in %s days' END, e.ends, e.ends - current_date),
           jsonb_build_object('ends', e.ends), 3, 0
    FROM (VALUES (13, date '2025-11-13'), (14, date '2026-11-12'), (15, date '2027-11-11'), (16, date '2028-11-09'), (17, date '2029-11-08'), (18, date '2030-11-14')) e (major, ends)
    WHERE e.major = s.major AND e.ends - current_date < {min_days} AND NOT s.is_past
    UNION ALL
    SELECT 'skipped', NULL, 'its list of releases is of 2026-11-28 and no longer trusted after 2027-05-31: a newer pg_pitcrew has a newer one', '{}', 4, 0
    WHERE s.is_past
    UNION ALL
    SELECT 'skipped', NULL, format('its list of releases knows 13 to 18 and not %s', s.major), '{}', 4, 0
    WHERE s.major NOT BETWEEN 13 AND 18 AND NOT s.is_past) f
ORDER BY f.place, f.number DESC
