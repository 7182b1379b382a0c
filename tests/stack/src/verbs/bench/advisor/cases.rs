//! Schemas and cases: each kind of index, on data that it is made for and on data that are hard to tell.

/// What a case is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A B-tree or hash index on plain columns.
    Plain,
    /// The same on columns that hang together.
    Correlated,
    /// Statistics of an expression come from a sample; the truth is after ANALYZE.
    Sampled,
    /// The number of entries comes from a sample; no statistics hang on it (the planner uses none of a partial index).
    Partial,
    /// The planner itself lacks facts: the prediction must say so.
    Unknown,
}

/// One index and one query that it is for.
pub(super) struct Case {
    pub(super) kind: Kind,
    pub(super) ddl: &'static str,
    pub(super) query: &'static str,
}

/// Tables of one kind, and cases on them.
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) setup: &'static [&'static str],
    pub(super) cases: &'static [Case],
}

const fn case(kind: Kind, ddl: &'static str, query: &'static str) -> Case {
    Case { kind, ddl, query }
}

use Kind::{Correlated, Partial, Plain, Sampled, Unknown};

pub(super) const SCHEMAS: [Schema; 5] = [
    Schema {
        name: "skewed",
        setup: &[
            "CREATE EXTENSION IF NOT EXISTS pg_trgm",
            "SELECT setseed(0.5)",
            "CREATE TABLE visits AS SELECT g AS id, (1000 * random() ^ 3)::int AS customer, 'City ' || (hashint4(g) & 63) AS city, \
                 timestamp '2024-01-01' + g * interval '1 minute' AS created, (random() * 1000)::numeric(12,2) AS amount, \
                 md5(g::text) || repeat('x', g % 40) AS note, ARRAY['t' || g % 10, 'u' || (hashint4(g) & 1023)] AS tags, \
                 jsonb_build_object('a', g % 100, 'b', 'v' || g % 1000) AS doc, CASE WHEN g % 4 = 0 THEN g END AS parent, \
                 g % 50 = 0 AS flagged, to_tsvector('simple', 'word' || g % 500 || ' all') AS words \
             FROM generate_series(1, 300000) g",
            "ALTER TABLE visits ADD PRIMARY KEY (id)",
        ],
        cases: &[
            case(
                Plain,
                "CREATE INDEX ON visits (customer)",
                "SELECT * FROM visits WHERE customer = 5",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer)",
                "SELECT count(*) FROM visits WHERE customer IN (3, 700, 801)",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer)",
                "SELECT max(customer) FROM visits",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer DESC)",
                "SELECT * FROM visits ORDER BY customer DESC LIMIT 20",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer, city)",
                "SELECT * FROM visits WHERE customer = 500 AND city = 'City 3'",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (city, created)",
                "SELECT * FROM visits WHERE city = 'City 3' AND created BETWEEN '2024-03-01' AND '2024-03-03'",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (city, created DESC)",
                "SELECT * FROM visits WHERE city = 'City 3' ORDER BY created DESC LIMIT 10",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer) INCLUDE (amount)",
                "SELECT customer, sum(amount) FROM visits WHERE customer < 5 GROUP BY 1",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (created DESC NULLS LAST)",
                "SELECT * FROM visits ORDER BY created DESC NULLS LAST LIMIT 10",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (note)",
                "SELECT * FROM visits WHERE note = 'x'",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (note text_pattern_ops)",
                "SELECT * FROM visits WHERE note LIKE 'abc%'",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (amount)",
                "SELECT * FROM visits WHERE amount BETWEEN 400 AND 401",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (parent)",
                "SELECT * FROM visits WHERE parent = 8",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (parent)",
                "SELECT count(*) FROM visits WHERE parent IS NULL",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (parent NULLS FIRST)",
                "SELECT * FROM visits ORDER BY parent NULLS FIRST LIMIT 5",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer) WITH (fillfactor = 60)",
                "SELECT * FROM visits WHERE customer = 7",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (customer) WITH (deduplicate_items = off)",
                "SELECT * FROM visits WHERE customer = 7",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits USING hash (customer)",
                "SELECT * FROM visits WHERE customer = 650",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits USING hash (note)",
                "SELECT * FROM visits WHERE note = 'x'",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits USING hash (parent)",
                "SELECT * FROM visits WHERE parent = 8",
            ),
            case(
                Plain,
                "CREATE INDEX ON visits (parent)",
                "SELECT * FROM visits a JOIN visits b ON b.parent = a.id WHERE a.customer = 900",
            ),
            case(
                Sampled,
                "CREATE INDEX ON visits (lower(city))",
                "SELECT * FROM visits WHERE lower(city) = 'city 3'",
            ),
            case(
                Sampled,
                "CREATE INDEX ON visits ((amount * 2))",
                "SELECT * FROM visits WHERE amount * 2 > 1900",
            ),
            case(
                Sampled,
                "CREATE INDEX ON visits ((customer % 10), created)",
                "SELECT * FROM visits WHERE customer % 10 = 3 AND created BETWEEN '2024-03-01' AND '2024-03-10'",
            ),
            case(
                Sampled,
                "CREATE INDEX ON visits (date_trunc('day', created))",
                "SELECT * FROM visits WHERE date_trunc('day', created) = '2024-03-05'",
            ),
            case(
                Sampled,
                "CREATE INDEX ON visits ((doc->>'b'))",
                "SELECT * FROM visits WHERE doc->>'b' = 'v77'",
            ),
            case(
                Partial,
                "CREATE INDEX ON visits (created) WHERE flagged",
                "SELECT * FROM visits WHERE flagged AND created BETWEEN '2024-03-01' AND '2024-04-01'",
            ),
            case(
                Partial,
                "CREATE INDEX ON visits (customer) WHERE amount > 900",
                "SELECT * FROM visits WHERE customer = 3 AND amount > 950",
            ),
            case(
                Partial,
                "CREATE INDEX ON visits (lower(city)) WHERE customer < 10",
                "SELECT * FROM visits WHERE lower(city) = 'city 9' AND customer < 10",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits (created)",
                "SELECT * FROM visits WHERE created > '2024-07-28 07:00'",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits ((amount * 2))",
                "SELECT * FROM visits WHERE amount * 2 > 1999.5",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING brin (created)",
                "SELECT * FROM visits WHERE created BETWEEN '2024-03-01' AND '2024-03-02'",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING brin (created) WITH (pages_per_range = 8)",
                "SELECT * FROM visits WHERE created BETWEEN '2024-03-01' AND '2024-03-02'",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING gin (tags)",
                "SELECT * FROM visits WHERE tags @> ARRAY['u5']",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING gin (doc)",
                "SELECT * FROM visits WHERE doc @> '{\"a\": 5}'",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING gin (doc jsonb_path_ops)",
                "SELECT * FROM visits WHERE doc @> '{\"a\": 5}'",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING gin (words)",
                "SELECT * FROM visits WHERE words @@ 'word7'",
            ),
            case(
                Unknown,
                "CREATE INDEX ON visits USING gin (note gin_trgm_ops)",
                "SELECT * FROM visits WHERE note LIKE '%abcdef%'",
            ),
        ],
    },
    Schema {
        name: "widths",
        setup: &[
            "SELECT setseed(0.25)",
            "CREATE TABLE types AS SELECT g AS id, g % 2 = 0 AS flag, (g % 90 + 32)::\"char\" AS letter, (g % 3000)::int2 AS small, (random() * 1e5)::int AS whole, \
                 (g * 7)::int8 AS large, random() AS float, (random() * 1e6)::numeric AS exact, md5((g % 60000)::text)::uuid AS key, \
                 date '2020-01-01' + g % 2000 AS day, timestamptz '2020-01-01 00:00Z' + g * interval '37 s' AS moment, g * interval '1 min' AS span, \
                 ('10.' || g % 250 || '.' || g / 250 % 250 || '.1')::inet AS address, left(md5(g::text), 1 + g % 30)::varchar(40) AS short, \
                 repeat(md5((g % 5000)::text), 1 + g % 8) AS long, (g % 9)::text::char(1) AS code, ('C' || g % 700)::char(10) AS ten, \
                 ('Name ' || g % 20000)::char(25) AS wide, decode(md5(g::text), 'hex') AS bytes, ('n' || g % 4000)::name AS named, \
                 (g % 86400) * interval '1 s' + time '00:00' AS hour, CASE WHEN g % 3 > 0 THEN 'v' || g % 100 END AS maybe \
             FROM generate_series(1, 200000) g",
            "ALTER TABLE types ADD PRIMARY KEY (id)",
        ],
        cases: &[
            case(
                Plain,
                "CREATE INDEX ON types (flag)",
                "SELECT * FROM types WHERE NOT flag AND id < 50000",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (letter)",
                "SELECT * FROM types WHERE letter = 'a'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (small)",
                "SELECT * FROM types WHERE small = 44::int2",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (whole)",
                "SELECT * FROM types WHERE whole BETWEEN 400 AND 4000",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (large)",
                "SELECT * FROM types WHERE large BETWEEN 70000 AND 140000",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (float)",
                "SELECT * FROM types WHERE float BETWEEN 0.5 AND 0.52",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (exact)",
                "SELECT * FROM types WHERE exact BETWEEN 5000 AND 50000",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (key)",
                "SELECT * FROM types WHERE key = md5('77')::uuid",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (day)",
                "SELECT count(*) FROM types WHERE day BETWEEN '2021-01-01' AND '2021-01-31'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (moment)",
                "SELECT count(*) FROM types WHERE moment BETWEEN '2020-02-01' AND '2020-02-03'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (span)",
                "SELECT count(*) FROM types WHERE span < '10 days'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (address)",
                "SELECT * FROM types WHERE address = '10.5.5.1'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (short)",
                "SELECT * FROM types WHERE short = 'abcd'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (long)",
                "SELECT * FROM types WHERE long = 'abcd'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (code)",
                "SELECT count(*) FROM types WHERE code = '3'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (ten)",
                "SELECT * FROM types WHERE ten = 'C5'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (wide)",
                "SELECT * FROM types WHERE wide = 'Name 77'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (wide, code)",
                "SELECT * FROM types WHERE wide = 'Name 77' AND code = '1'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (bytes)",
                "SELECT * FROM types WHERE bytes = '\\x00'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (named)",
                "SELECT * FROM types WHERE named = 'n7'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (hour)",
                "SELECT * FROM types WHERE hour BETWEEN '10:00' AND '10:05'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (maybe)",
                "SELECT * FROM types WHERE maybe = 'v7'",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (maybe, whole)",
                "SELECT * FROM types WHERE maybe = 'v7' AND whole < 5000",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (code, large)",
                "SELECT * FROM types WHERE code = '7' AND large BETWEEN 70000 AND 140000",
            ),
            case(
                Plain,
                "CREATE INDEX ON types (whole) INCLUDE (short, exact)",
                "SELECT whole, short, exact FROM types WHERE whole BETWEEN 400 AND 4000",
            ),
            case(
                Plain,
                "CREATE UNIQUE INDEX ON types (large)",
                "SELECT * FROM types WHERE large = 700",
            ),
            case(
                Plain,
                "CREATE INDEX ON types USING hash (key)",
                "SELECT * FROM types WHERE key = md5('77')::uuid",
            ),
            case(
                Plain,
                "CREATE INDEX ON types USING hash (small)",
                "SELECT * FROM types WHERE small = 44::int2",
            ),
        ],
    },
    Schema {
        name: "correlated",
        setup: &[
            "SELECT setseed(0.75)",
            "CREATE TABLE places AS SELECT g AS id, c AS town, c / 50 AS county, c / 500 AS region, d AS day, extract(month FROM d)::int AS month, \
                 d + (random() * 5)::int AS due, (random() * 100)::int AS amount \
             FROM (SELECT g, (5000 * random() ^ 2)::int AS c, date '2022-01-01' + (random() * 700)::int AS d FROM generate_series(1, 300000) g) s",
            "ALTER TABLE places ADD PRIMARY KEY (id)",
        ],
        cases: &[
            case(
                Correlated,
                "CREATE INDEX ON places (town, county)",
                "SELECT * FROM places WHERE town = 1200 AND county = 24",
            ),
            case(
                Correlated,
                "CREATE INDEX ON places (region, county, town)",
                "SELECT * FROM places WHERE region = 2 AND county = 24 AND town = 1200",
            ),
            case(
                Correlated,
                "CREATE INDEX ON places (month, day)",
                "SELECT * FROM places WHERE month = 3 AND day = '2023-03-04'",
            ),
            case(
                Correlated,
                "CREATE INDEX ON places (day, due)",
                "SELECT * FROM places WHERE day = '2023-03-04' AND due = '2023-03-06'",
            ),
            case(
                Correlated,
                "CREATE INDEX ON places (county, amount)",
                "SELECT * FROM places WHERE county = 24 AND amount = 50",
            ),
        ],
    },
    Schema {
        name: "partitioned",
        setup: &[
            "SELECT setseed(0.1)",
            "CREATE TABLE events (id int, day date, device int, kind text, value float8) PARTITION BY RANGE (day)",
            "DO $$ BEGIN FOR m IN 0..11 LOOP EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)', m, \
                 date '2024-01-01' + m * interval '1 month', date '2024-01-01' + (m + 1) * interval '1 month'); END LOOP; END $$",
            "INSERT INTO events SELECT g, date '2024-01-01' + g % 366, (random() * 3000)::int, 'kind ' || g % 12, random() FROM generate_series(1, 360000) g",
            "CREATE TABLE assets (id int, label text)",
            "CREATE TABLE vehicles (wheels int) INHERITS (assets)",
            "INSERT INTO assets SELECT g, 'asset ' || g % 9000 FROM generate_series(1, 100000) g",
            "INSERT INTO vehicles SELECT g, 'vehicle ' || g % 500, 4 FROM generate_series(1, 50000) g",
            "CREATE MATERIALIZED VIEW daily AS SELECT day, device, count(*) AS n, sum(value) AS total FROM events GROUP BY 1, 2",
        ],
        cases: &[
            case(
                Plain,
                "CREATE INDEX ON events (device)",
                "SELECT * FROM events WHERE device = 77",
            ),
            case(
                Plain,
                "CREATE INDEX ON events (device, day)",
                "SELECT * FROM events WHERE device = 77 AND day BETWEEN '2024-03-05' AND '2024-03-20'",
            ),
            case(
                Plain,
                "CREATE INDEX ON events (kind)",
                "SELECT count(*) FROM events WHERE kind = 'kind 3' AND day = '2024-03-05'",
            ),
            case(
                Plain,
                "CREATE INDEX ON events USING hash (device)",
                "SELECT * FROM events WHERE device = 77",
            ),
            case(
                Plain,
                "CREATE INDEX ON assets (label)",
                "SELECT * FROM assets WHERE label = 'asset 77'",
            ),
            case(
                Plain,
                "CREATE INDEX ON vehicles (label)",
                "SELECT * FROM assets WHERE label = 'vehicle 77'",
            ),
            case(
                Plain,
                "CREATE INDEX ON daily (device)",
                "SELECT * FROM daily WHERE device = 77",
            ),
            case(
                Sampled,
                "CREATE INDEX ON events ((device % 100))",
                "SELECT * FROM events WHERE device % 100 = 7",
            ),
            case(
                Partial,
                "CREATE INDEX ON events (day) WHERE kind = 'kind 5'",
                "SELECT * FROM events WHERE kind = 'kind 5' AND day BETWEEN '2024-03-05' AND '2024-03-09'",
            ),
        ],
    },
    Schema {
        name: "tiny",
        setup: &[
            "CREATE TABLE empty (id int PRIMARY KEY, note text)",
            "CREATE TABLE few AS SELECT g AS id, 'n' || g AS note FROM generate_series(1, 90) g",
        ],
        cases: &[
            case(
                Plain,
                "CREATE INDEX ON few (id)",
                "SELECT * FROM few WHERE id = 7",
            ),
            case(
                Plain,
                "CREATE INDEX ON few (note)",
                "SELECT * FROM few ORDER BY note LIMIT 1",
            ),
            case(
                Plain,
                "CREATE INDEX ON few USING hash (id)",
                "SELECT * FROM few WHERE id = 7",
            ),
            case(
                Unknown,
                "CREATE INDEX ON empty (note)",
                "SELECT * FROM empty WHERE note = 'x'",
            ),
        ],
    },
];
