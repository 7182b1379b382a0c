//! Who may do what, hostile names, and an install among hostile objects (SECURITY.md, P1 to P4).

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::{identifier, literal};
use pitcrew_stack::{require, testing};
use support::{Session, role};

#[test]
fn p1_hostile_names_are_names_and_nothing_else() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE canary (id int)");
    let names = [
        "a\"b".to_owned(),
        "Select".to_owned(),
        "a;drop table canary".to_owned(),
        "x".repeat(63),
        "ä".repeat(31),
        "таблица".to_owned(),
        "a.b".to_owned(),
        "100%s".to_owned(),
        "it's".to_owned(),
        "back\\slash".to_owned(),
        " ".to_owned(),
        "$1".to_owned(),
        "--".to_owned(),
    ];
    for name in &names {
        let (table, column) = (identifier(name), identifier(name));
        session.run(&format!(
            "CREATE TABLE {table} ({column} int, other int) WITH (autovacuum_enabled = off); \
             INSERT INTO {table} SELECT g, g FROM generate_series(1, 20000) g; ANALYZE {table}"
        ));
        let target = format!("{}::regclass", literal(&table));
        let options = serde_json::json!({ "columns": [name], "name": name.chars().rev().collect::<String>() + "!" });
        let options = if name.len() > 62 {
            serde_json::json!({ "columns": [name] })
        } else {
            options
        };
        for arguments in [
            format!("'vacuum', {target}, '{{\"full\": true, \"analyze\": true}}'"),
            format!("'analyze', {target}"),
            format!(
                "'create_index', {target}, {}",
                literal(&options.to_string())
            ),
        ] {
            let job = session.submit(&arguments);
            session.done(&job);
        }
        let indexes =
            format!("SELECT count(*) FROM pg_index WHERE indrelid = {target} AND indisvalid");
        assert_eq!(session.text(&indexes), "1", "{name}");
        let query = format!("SELECT * FROM {table} WHERE other = 5");
        let found = session.run(&format!(
            "SELECT ddl, table_name, id FROM pitcrew.suggest_indexes(queries => ARRAY[{}])",
            literal(&query)
        ));
        assert_eq!(found.len(), 1, "{name}");
        session.run(found[0][0].as_deref().unwrap());
        assert_eq!(session.text(&indexes), "2", "{name}");
        assert_eq!(
            session.text(&format!(
                "SELECT {}::regclass = {target}",
                literal(found[0][1].as_deref().unwrap())
            )),
            "t"
        );
    }
    assert_eq!(session.text("SELECT count(*) FROM canary"), "0");
}

#[test]
fn p1_hostile_roles_submit_as_themselves() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let upper = format!("Mixed Case {}", database.name);
    let lower = upper.to_lowercase();
    for name in [&upper, &lower] {
        let quoted = identifier(name);
        session.run(&format!(
            "CREATE ROLE {quoted} LOGIN; GRANT CREATE ON SCHEMA public TO {quoted}"
        ));
        session.run(&format!(
            "SELECT pitcrew.grant_access({}::regrole, 'operator')",
            literal(&quoted)
        ));
    }
    let quoted = identifier(&upper);
    session.run(&format!("SET ROLE {quoted}; CREATE TABLE its (id int)"));
    let job = session.submit("'vacuum', 'its'");
    session.done(&job);
    let submitter = session.text(&format!(
        "SELECT pg_get_userbyid(submitter::oid) FROM pitcrew.jobs WHERE id = {job}"
    ));
    assert_eq!(submitter, upper);
    session.run("RESET ROLE");
    for name in [upper, lower] {
        session.run(&format!(
            "DROP OWNED BY {0}; DROP ROLE {0}",
            identifier(&name)
        ));
    }
}

#[test]
fn p2_every_function_is_closed_and_keeps_to_its_search_path() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let members = "FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' \
         AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_pitcrew')";
    let wrong = session.run(&format!(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.oid IN (SELECT d.objid {members} AND d.classid = 'pg_proc'::regclass) \
         AND (p.prosecdef OR p.pronamespace <> 'pitcrew'::regnamespace \
              OR p.prokind <> 'p' AND (p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'] \
                                       AND p.proconfig <@ ARRAY['search_path=pg_catalog, pg_temp', 'jit=off']) IS NOT TRUE \
              OR p.prokind = 'p' AND (p.proconfig IS NOT NULL OR p.prolang <> (SELECT l.oid FROM pg_language l WHERE l.lanname = 'c')) \
              OR EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0))"
    ));
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(
        session.number(&format!(
            "SELECT count(*) {members} AND d.classid = 'pg_proc'::regclass"
        )) >= 9.0
    );
    let open = session.run(&format!(
        "SELECT c.relname::text FROM pg_class c WHERE c.oid IN (SELECT d.objid {members} AND d.classid = 'pg_class'::regclass) \
         AND (c.relnamespace <> 'pitcrew'::regnamespace OR EXISTS (SELECT 1 FROM aclexplode(c.relacl) a WHERE a.grantee = 0))"
    ));
    assert!(open.is_empty(), "{open:?}");
    let extension = session.run(
        "SELECT v.relocatable, v.trusted, v.superuser, v.schema::text, v.requires IS NULL FROM pg_available_extension_versions v \
         WHERE v.name = 'pg_pitcrew' AND v.installed",
    );
    let extension: Vec<_> = extension[0]
        .iter()
        .map(|cell| cell.as_deref().unwrap())
        .collect();
    assert_eq!(extension, ["f", "f", "t", "pitcrew", "t"]);
    assert_eq!(
        session.text(
            "SELECT pitcrew.version() = extversion FROM pg_extension WHERE extname = 'pg_pitcrew'"
        ),
        "t"
    );
    // Everything says what it is.
    let silent = session.run(&format!(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE obj_description(p.oid, 'pg_proc') IS NULL \
         AND p.oid IN (SELECT d.objid {members} AND d.classid = 'pg_proc'::regclass)"
    ));
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn p3_an_install_among_hostile_objects_runs_none_of_them() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("DROP EXTENSION pg_pitcrew");
    session.run("DROP SCHEMA pitcrew");
    let mallory = role(&session, "mallory", None);
    let attacker = Session::open(&database.url_as(&mallory));
    let body =
        format!("LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE {mallory} SUPERUSER; RETURN NULL; END $$");
    attacker.run(&format!(
        "CREATE FUNCTION public.version() RETURNS text {body}; CREATE FUNCTION public.status() RETURNS text {body}; \
         CREATE FUNCTION public.quote_ident(name) RETURNS text {body}; CREATE FUNCTION public.quote_ident(varchar) RETURNS text {body}; \
         CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz {body}; \
         CREATE FUNCTION public.pg_total_relation_size(oid) RETURNS bigint {body}; \
         CREATE FUNCTION public.pg_get_userbyid(bigint) RETURNS name {body}; \
         CREATE FUNCTION public.cat(name, text) RETURNS text {body}; \
         CREATE OPERATOR public.|| (LEFTARG = name, RIGHTARG = text, FUNCTION = public.cat); \
         CREATE FUNCTION public.less(\"char\", varchar) RETURNS boolean {body}; \
         CREATE OPERATOR public.<> (LEFTARG = \"char\", RIGHTARG = varchar, FUNCTION = public.less); \
         CREATE FUNCTION public.eq(name, varchar) RETURNS boolean {body}; \
         CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = varchar, FUNCTION = public.eq); \
         CREATE TABLE public.jobs (id int); CREATE VIEW public.pg_stat_user_tables AS SELECT 1 AS n"
    ));
    session.run("CREATE EXTENSION pg_pitcrew");
    let job = session.submit("'vacuum', 'public.jobs'");
    session.done(&job);
    session.run("SELECT * FROM pitcrew.status(); SELECT * FROM pitcrew.table_stats");
    session.run("SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM public.jobs WHERE id = 1'])");
    assert_eq!(
        session.text(&format!(
            "SELECT rolsuper FROM pg_roles WHERE rolname = '{mallory}'"
        )),
        "f"
    );
}

#[test]
fn p3_a_schema_that_somebody_prepared_is_refused() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("DROP EXTENSION pg_pitcrew; DROP SCHEMA pitcrew");
    let mallory = role(&session, "mallory", None);
    session.run(&format!("CREATE SCHEMA pitcrew AUTHORIZATION {mallory}"));
    let failure = session.failure("CREATE EXTENSION pg_pitcrew");
    assert_eq!(failure.code, "42P06");
    assert!(failure.message.contains(&mallory), "{failure:?}");
    session.run("DROP SCHEMA pitcrew; CREATE SCHEMA pitcrew; CREATE FUNCTION pitcrew.helper() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let failure = session.failure("CREATE EXTENSION pg_pitcrew");
    assert_eq!(failure.code, "42P06");
    assert!(failure.message.contains("helper"), "{failure:?}");
    session.run("DROP SCHEMA pitcrew CASCADE; CREATE SCHEMA pitcrew; CREATE EXTENSION pg_pitcrew");
}

#[test]
fn p4_a_role_with_neither_level_is_told_that_it_lacks_permission() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let nobody = role(&session, "nobody", None);
    let reader = role(&session, "reader", Some("reader"));
    let outside = Session::open(&database.url_as(&nobody));
    let calls = [
        "SELECT pitcrew.version()",
        "SELECT * FROM pitcrew.status()",
        "SELECT * FROM pitcrew.suggest_indexes(queries => '{}')",
        "SELECT * FROM pitcrew.table_stats",
        "SELECT * FROM pitcrew.jobs",
    ];
    let inside = Session::open(&database.url_as(&reader));
    for call in calls {
        assert_eq!(outside.failure(call).code, "42501", "{call}");
        inside.run(call);
    }
    for call in [
        "SELECT pitcrew.submit_job('vacuum')".to_owned(),
        "SELECT pitcrew.cancel_job(1)".to_owned(),
        format!("SELECT pitcrew.grant_access('{reader}', 'operator')"),
        "INSERT INTO pitcrew.jobs (kind) VALUES ('vacuum')".to_owned(),
    ] {
        assert_eq!(inside.failure(&call).code, "42501", "{call}");
    }
    let failure = session.failure(&format!("SELECT pitcrew.grant_access('{reader}', 'root')"));
    assert_eq!(failure.code, "22023");
    assert!(failure.hint.contains("reader") && failure.hint.contains("operator"));
}

#[test]
fn drop_extension_leaves_nothing_and_running_jobs_end() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE orders (id int)");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    session.submit("'vacuum', 'orders'");
    let workers = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'";
    session.until(workers, "1");
    session.run("DROP EXTENSION pg_pitcrew");
    holder.run("ROLLBACK");
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pitcrew%'";
    session.until(count, "0");
    // PostgreSQL itself keeps the schema that CREATE EXTENSION made; without CASCADE it drops only when empty.
    session.run("DROP SCHEMA pitcrew");
    session.run("CREATE EXTENSION pg_pitcrew");
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
}
