//! The tables that statements are about: of every kind, small, and of most types.

/// A table, or what reads like one.
pub(super) struct Table {
    /// As it stands in a statement.
    pub(super) name: &'static str,
    /// Names and types of its columns, as statements have them.
    pub(super) columns: &'static [(&'static str, &'static str)],
    /// Rows can be written.
    pub(super) is_written: bool,
}

const fn table(name: &'static str, columns: &'static [(&'static str, &'static str)]) -> Table {
    Table {
        name,
        columns,
        is_written: true,
    }
}

const fn view(name: &'static str, columns: &'static [(&'static str, &'static str)]) -> Table {
    Table {
        name,
        columns,
        is_written: false,
    }
}

/// What there is, besides the tables that sessions make.
pub(super) const TABLES: [Table; 17] = [
    table(
        "plain",
        &[
            ("id", "integer"),
            ("amount", "numeric"),
            ("name", "text"),
            ("day", "date"),
            ("flag", "boolean"),
        ],
    ),
    table(
        "wide",
        &[
            ("id", "bigint"),
            ("tags", "text[]"),
            ("doc", "jsonb"),
            ("body", "tsvector"),
            ("span", "int4range"),
            ("at", "timestamptz"),
            ("mood", "mood"),
            ("small", "smallint"),
            ("ratio", "real"),
            ("code", "char(4)"),
            ("net", "inet"),
            ("spot", "point"),
            ("uid", "uuid"),
            ("raw", "bytea"),
            ("pos", "positive"),
            ("old", "json"),
            ("bits", "varbit"),
            ("took", "interval"),
            ("price", "double precision"),
        ],
    ),
    table(
        "parts",
        &[
            ("id", "integer"),
            ("day", "date"),
            ("name", "text"),
            ("amount", "numeric"),
        ],
    ),
    table(
        "parts_b",
        &[
            ("id", "integer"),
            ("day", "date"),
            ("name", "text"),
            ("amount", "numeric"),
        ],
    ),
    table("hashed", &[("id", "integer"), ("name", "text")]),
    table(
        "listed",
        &[("id", "integer"), ("name", "text"), ("amount", "numeric")],
    ),
    table("parent", &[("id", "integer"), ("name", "text")]),
    table(
        "child",
        &[("id", "integer"), ("name", "text"), ("extra", "text")],
    ),
    table(
        "line",
        &[
            ("id", "integer"),
            ("plain_id", "integer"),
            ("amount", "numeric"),
            ("doubled", "numeric"),
        ],
    ),
    table(
        "guarded",
        &[("id", "integer"), ("owner", "text"), ("name", "text")],
    ),
    table(
        "\"a\"\"b; %s\"",
        &[("\"i d\"", "integer"), ("\"Sel\"\"ect\"", "text")],
    ),
    table("empty", &[("id", "integer"), ("name", "text")]),
    table("no_log", &[("id", "integer"), ("name", "text")]),
    view(
        "seen",
        &[("id", "integer"), ("name", "text"), ("amount", "numeric")],
    ),
    view(
        "summed",
        &[("name", "text"), ("total", "numeric"), ("rows", "bigint")],
    ),
    view("stored", &[("name", "text"), ("total", "numeric")]),
    view(
        "pg_catalog.pg_class",
        &[
            ("relname", "name"),
            ("relpages", "integer"),
            ("reltuples", "real"),
        ],
    ),
];

/// Indexes by name.
pub(super) const INDEXES: [&str; 5] = [
    "plain_pkey",
    "plain_name",
    "wide_doc",
    "parts_day",
    "line_plain",
];

/// Makes all of it; the statements of one message.
pub(super) const SCRIPT: [&str; 12] = [
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN positive AS int CHECK (value > 0); \
     CREATE TYPE pair AS (a int, b text); CREATE SEQUENCE counter; CREATE COLLATION IF NOT EXISTS odd (provider = libc, locale = 'C')",
    "SET check_function_bodies = off; CREATE FUNCTION slowly(n int) RETURNS int LANGUAGE plpgsql STABLE COST 10000 AS 'BEGIN PERFORM pg_sleep(0.001); RETURN n; END'; \
     CREATE FUNCTION failing(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1 / (n - n); END'; \
     CREATE FUNCTION writing(n int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO public.no_log VALUES (n, ''w'') RETURNING id'; \
     CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'; \
     CREATE FUNCTION summing(VARIADIC n int[]) RETURNS bigint LANGUAGE plpgsql AS \
     'DECLARE s bigint := 0; i int; BEGIN FOREACH i IN ARRAY n LOOP s := s + (SELECT count(*) FROM public.plain WHERE id = i); END LOOP; RETURN s; \
      EXCEPTION WHEN OTHERS THEN RETURN -1; END'; \
     CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN IF n <= 0 THEN RETURN 0; END IF; RETURN 1 + public.deep(n - 1); END'",
    "CREATE TABLE plain (id int PRIMARY KEY, amount numeric, name text, day date, flag boolean DEFAULT true); \
     INSERT INTO plain SELECT g, g * 1.5, 'name ' || g % 50, date '2026-01-01' + g % 100, g % 3 = 0 FROM generate_series(1, 1000) g; \
     CREATE INDEX plain_name ON plain (name)",
    "CREATE TABLE wide (id bigint, tags text[], doc jsonb, body tsvector, span int4range, at timestamptz, mood mood, small smallint, ratio real, \
     code char(4), net inet, spot point, uid uuid, raw bytea, pos positive, old json, bits varbit, took interval, price double precision); \
     INSERT INTO wide SELECT g, ARRAY['t' || g % 7, NULL], jsonb_build_object('k', g % 9, 'l', jsonb_build_array(g)), to_tsvector('simple', 'word' || g), \
     int4range(g, g + 5), now() - g * interval '1 hour', (enum_range(NULL::mood))[1 + g % 3], g % 100, g / 3.0, 'c' || g % 9, '10.0.0.1'::inet + g, \
     point(g, -g), md5(g::text)::uuid, convert_to(repeat('b', g % 30), 'UTF8'), g, '{\"a\": 1}', B'101', g * interval '1 minute', g::float8 / 7 \
     FROM generate_series(1, 600) g; \
     CREATE INDEX wide_doc ON wide USING gin (doc); CREATE INDEX ON wide USING brin (at); CREATE INDEX ON wide USING gist (span); \
     CREATE INDEX ON wide USING spgist (spot); CREATE INDEX ON wide (lower(code)) WHERE small > 50; CREATE STATISTICS wide_s (ndistinct, mcv) ON small, mood FROM wide",
    "CREATE TABLE parts (id int, day date, name text, amount numeric) PARTITION BY RANGE (day); \
     CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2026-02-01'); \
     CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); \
     CREATE TABLE parts_rest PARTITION OF parts DEFAULT; CREATE INDEX parts_day ON parts (day); \
     INSERT INTO parts SELECT g, date '2026-01-01' + g % 120, 'p' || g % 11, g FROM generate_series(1, 1000) g",
    "CREATE TABLE hashed (id int, name text) PARTITION BY HASH (id); \
     CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
     CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
     INSERT INTO hashed SELECT g, 'h' || g FROM generate_series(1, 300) g; \
     CREATE TABLE listed (id int, name text, amount numeric) PARTITION BY LIST (name); \
     CREATE TABLE listed_a PARTITION OF listed FOR VALUES IN ('a', 'b'); \
     CREATE TABLE listed_rest PARTITION OF listed DEFAULT PARTITION BY RANGE (amount); \
     CREATE TABLE listed_rest_0 PARTITION OF listed_rest DEFAULT; \
     INSERT INTO listed SELECT g, chr(97 + g % 5), g FROM generate_series(1, 300) g",
    "CREATE TABLE parent (id int, name text); CREATE TABLE child (extra text) INHERITS (parent); \
     INSERT INTO parent SELECT g, 'x' FROM generate_series(1, 100) g; INSERT INTO child SELECT g, 'y', 'z' FROM generate_series(1, 100) g",
    "CREATE TABLE line (id int PRIMARY KEY, plain_id int REFERENCES plain ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, amount numeric, \
     doubled numeric GENERATED ALWAYS AS (amount * 2) STORED); CREATE INDEX line_plain ON line (plain_id) INCLUDE (amount); \
     INSERT INTO line SELECT g, 1 + g % 900, g FROM generate_series(1, 1500) g; \
     CREATE FUNCTION line_written() RETURNS trigger LANGUAGE plpgsql AS \
     'BEGIN PERFORM count(*) FROM public.plain WHERE id = coalesce(NEW.plain_id, 0); RETURN coalesce(NEW, OLD); END'; \
     CREATE TRIGGER line_written AFTER INSERT OR UPDATE OR DELETE ON line FOR EACH ROW EXECUTE FUNCTION line_written()",
    "CREATE TABLE guarded (id int, owner text DEFAULT current_user, name text); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; \
     CREATE POLICY own ON guarded USING (owner = current_user OR norm(name) = 'public'); \
     INSERT INTO guarded SELECT g, (ARRAY['hostile_owner', 'hostile_reader', 'x'])[1 + g % 3], 'Public' FROM generate_series(1, 300) g",
    "CREATE TABLE \"a\"\"b; %s\" (\"i d\" int, \"Sel\"\"ect\" text); INSERT INTO \"a\"\"b; %s\" SELECT g, 'v' FROM generate_series(1, 300) g; \
     CREATE TABLE empty (id int, name text COLLATE odd); CREATE UNLOGGED TABLE no_log (id int, name text)",
    "CREATE VIEW seen AS SELECT p.id, p.name, l.amount FROM plain p JOIN line l ON l.plain_id = p.id; \
     CREATE RULE seen_written AS ON INSERT TO seen DO INSTEAD INSERT INTO no_log VALUES (NEW.id, NEW.name); \
     CREATE RULE also AS ON UPDATE TO empty DO ALSO SELECT count(*) FROM plain; \
     CREATE VIEW summed WITH (security_barrier) AS SELECT name, sum(amount) AS total, count(*) AS rows FROM plain GROUP BY name; \
     CREATE MATERIALIZED VIEW stored AS SELECT name, sum(amount) AS total FROM parts GROUP BY name; CREATE UNIQUE INDEX ON stored (name)",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON SEQUENCE counter TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC; ANALYZE",
];
