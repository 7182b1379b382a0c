//! Statements of load tests that the router starts: to one database, in a role that cannot write, whatever a plan says.

#![allow(clippy::unwrap_used)]

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use pitcrew_admin::Admin;
use pitcrew_stack::require;
use pitcrew_stack::testing::{self, TestDatabase};
use serde_json::{Value, json};
use tower::ServiceExt;

const TOKEN: &str = "operator-token-of-this-test";

/// A database with a table, and a role that may read it.
struct World {
    database: TestDatabase,
    role: String,
}

impl World {
    fn new() -> Self {
        let database = testing::database();
        let role = format!("load_{}", database.name);
        database.run(&[
            "CREATE TABLE seen (number int DEFAULT 0)",
            "CREATE SEQUENCE numbers",
            "INSERT INTO seen VALUES (1)",
            &format!("CREATE ROLE {role} LOGIN"),
            &format!("GRANT SELECT ON seen TO {role}"),
        ]);
        Self { database, role }
    }

    fn admin(&self, writes: bool) -> Admin {
        Admin::builder()
            .operator_token(TOKEN)
            .load_database(self.database.url_as(&self.role))
            .load_database_writes(writes)
            .build()
            .unwrap()
    }

    /// What the table holds.
    fn seen(&self) -> String {
        let rows = self
            .database
            .run(&["SELECT count(*), sum(number) FROM seen"]);
        let texts: Vec<_> = rows[0].iter().flatten().map(String::as_str).collect();
        texts.join(" ")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Self { database, role } = self;
        database.run(&[
            &format!("DROP OWNED BY {role}"),
            &format!("DROP ROLE {role}"),
        ]);
    }
}

async fn ask(admin: &Admin, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    let response = admin.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn post(admin: &Admin, plan: Value) -> (StatusCode, Value) {
    ask(admin, Method::POST, "/load-test", &json!({"plan": plan})).await
}

/// The report of a run.
async fn report(admin: &Admin, plan: Value) -> Value {
    let (status, started) = post(admin, plan).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let path = format!("/load-test/{}", started["id"].as_str().unwrap());
    loop {
        let (_, run) = ask(admin, Method::GET, &path, &json!({})).await;
        if run["state"] == "finished" {
            return run["report"].clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_go_to_the_given_database_and_the_audit_has_the_end_of_the_run() {
    require!(database);
    let world = World::new();
    let admin = world.admin(false);
    let sql = "SELECT number FROM seen WHERE number = $1";
    let plan =
        json!({"postgres": {"sql": sql, "parameters": ["1"], "connections": 2, "requests": 20}});
    let report = report(&admin, plan).await;
    assert_eq!(report["ok"], 20, "{report}");
    admin.shutdown(std::time::Duration::from_secs(5)).await;
    let (_, audit) = ask(&admin, Method::GET, "/audit?name=load%20test", &json!({})).await;
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{audit}");
    let (end, start) = (&entries[0], &entries[1]);
    assert_eq!(
        (&start["kind"], &end["kind"]),
        (&json!("begun"), &json!("ended"))
    );
    assert_eq!(
        (&start["path"], &end["action"]),
        (&json!("/load-test/1"), &start["seq"])
    );
    let outcome = end["outcome"].as_str().unwrap();
    assert!(
        outcome.starts_with("finished after ") && outcome.ends_with(": 20 good answers, 0 errors"),
        "{outcome}"
    );
    assert_eq!(audit["chain"]["is_intact"], true, "{audit}");
}

/// L3: what a session begins with a statement can take back, what its role may do it cannot.
#[tokio::test(flavor = "multi_thread")]
async fn l3_no_statement_of_a_plan_writes() {
    require!(database);
    let world = World::new();
    let admin = world.admin(false);
    let write = "INSERT INTO seen VALUES (7)";
    for sql in [
        write.to_owned(),
        format!("SET default_transaction_read_only = off; {write}"),
        format!("COMMIT; BEGIN READ WRITE; {write}; COMMIT"),
        format!(
            "SELECT set_config('default_transaction_read_only', 'off', false); COMMIT; {write}"
        ),
        format!("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; COMMIT; {write}"),
        format!("SET ROLE postgres; {write}"),
        format!("SET SESSION AUTHORIZATION postgres; {write}"),
        format!("RESET ALL; RESET ROLE; COMMIT; {write}"),
        format!("SET default_transaction_read_only = off; COMMIT; DO $$ BEGIN {write}; END $$"),
        "SET default_transaction_read_only = off; COMMIT; CREATE TABLE public.mine ()".to_owned(),
        "SET default_transaction_read_only = off; COMMIT; COPY seen FROM PROGRAM 'echo 7'"
            .to_owned(),
        "SET default_transaction_read_only = off; COMMIT; SELECT nextval('numbers')".to_owned(),
    ] {
        let plan =
            json!({"postgres": {"sql": sql, "mode": "simple", "connections": 1, "requests": 3}});
        let report = report(&admin, plan).await;
        assert_eq!(
            (&report["ok"], &report["errors"]["sql"]),
            (&json!(0), &json!(3)),
            "{sql}: {report}"
        );
    }
    // As steps, each in its turn.
    let steps = json!([
        {"sql": "SET default_transaction_read_only = off"}, {"sql": "BEGIN READ WRITE"}, {"sql": write}, {"sql": "COMMIT"},
    ]);
    let plan = json!({"postgres": {"steps": steps, "connections": 1, "requests": 3}});
    let stepped = report(&admin, plan).await;
    // They take the default back, begin a transaction that may write, and then it is the role that may not: insufficient_privilege.
    assert_eq!(
        stepped["connections"]["sql_states"],
        json!({"42501": 3}),
        "{stepped}"
    );
    assert_eq!(
        (&stepped["ok"], &stepped["errors"]["sql"]),
        (&json!(6), &json!(3)),
        "{stepped}"
    );
    assert_eq!(world.seen(), "1 1");
    let made = "SELECT count(*) FROM pg_class WHERE relname = 'mine'";
    assert_eq!(world.database.run(&[made])[0][0].as_deref(), Some("0"));
    let called = "SELECT is_called FROM numbers";
    assert_eq!(world.database.run(&[called])[0][0].as_deref(), Some("f"));
    admin.shutdown(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_role_that_can_write_loads_nothing() {
    require!(database);
    let world = World::new();
    let admin = world.admin(false);
    let role = &world.role;
    let writer = format!("{role}_writer");
    world.database.run(&[
        &format!("CREATE ROLE {writer} NOINHERIT"),
        &format!("GRANT UPDATE ON seen TO {writer}"),
        "CREATE FUNCTION act() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE seen SET number = 0'",
        "REVOKE EXECUTE ON FUNCTION act() FROM PUBLIC",
        "CREATE SCHEMA hidden",
        "CREATE FUNCTION hidden.act() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE seen SET number = 0'",
        "REVOKE EXECUTE ON FUNCTION hidden.act() FROM PUBLIC",
        "CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lo_create(7777)",
    ]);
    let plan = json!({"postgres": {"connections": 1, "requests": 1}});
    let name = &world.database.name;
    for (give, take, says) in [
        (
            format!("GRANT INSERT ON seen TO {role}"),
            format!("REVOKE INSERT ON seen FROM {role}"),
            "may write public.seen",
        ),
        (
            format!("GRANT UPDATE (number) ON seen TO {role}"),
            format!("REVOKE UPDATE (number) ON seen FROM {role}"),
            "may write public.seen",
        ),
        (
            "GRANT TRUNCATE ON seen TO PUBLIC".to_owned(),
            "REVOKE TRUNCATE ON seen FROM PUBLIC".to_owned(),
            "may write public.seen",
        ),
        (
            format!("GRANT USAGE ON SEQUENCE numbers TO {role}"),
            format!("REVOKE USAGE ON SEQUENCE numbers FROM {role}"),
            "may write public.numbers",
        ),
        (
            format!("GRANT CREATE ON SCHEMA public TO {role}"),
            format!("REVOKE CREATE ON SCHEMA public FROM {role}"),
            "may create in the schema public",
        ),
        (
            format!("GRANT CREATE ON DATABASE {name} TO {role}"),
            format!("REVOKE CREATE ON DATABASE {name} FROM {role}"),
            "may create in the database",
        ),
        (
            format!("GRANT EXECUTE ON FUNCTION act() TO {role}"),
            format!("REVOKE EXECUTE ON FUNCTION act() FROM {role}"),
            "may call public.act",
        ),
        (
            // A view would call it, whoever may use the schema.
            "GRANT EXECUTE ON FUNCTION hidden.act() TO PUBLIC".to_owned(),
            "REVOKE EXECUTE ON FUNCTION hidden.act() FROM PUBLIC".to_owned(),
            "may call hidden.act",
        ),
        (
            format!("ALTER FUNCTION plain() OWNER TO {role}"),
            "ALTER FUNCTION plain() OWNER TO postgres".to_owned(),
            "owns function plain()",
        ),
        (
            format!("GRANT UPDATE ON LARGE OBJECT 7777 TO {role}"),
            format!("REVOKE UPDATE ON LARGE OBJECT 7777 FROM {role}"),
            "may write the large object 7777",
        ),
        (
            format!("GRANT EXECUTE ON FUNCTION lo_export(oid, text) TO {role}"),
            format!("REVOKE EXECUTE ON FUNCTION lo_export(oid, text) FROM {role}"),
            "was given pg_catalog.lo_export",
        ),
        (
            format!("GRANT {writer} TO {role}"),
            format!("REVOKE {writer} FROM {role}"),
            "may write public.seen",
        ),
        (
            format!("GRANT pg_write_all_data TO {role}"),
            format!("REVOKE pg_write_all_data FROM {role}"),
            "is a member of pg_write_all_data",
        ),
        (
            format!("ALTER ROLE {role} SUPERUSER"),
            format!("ALTER ROLE {role} NOSUPERUSER"),
            "is a superuser",
        ),
        (
            format!("ALTER ROLE {role} CREATEROLE"),
            format!("ALTER ROLE {role} NOCREATEROLE"),
            "may create roles",
        ),
    ] {
        world.database.run(&[&give]);
        let (status, refused) = post(&admin, plan.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{give}: {refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("plan.postgres: ")
                && detail.contains(says)
                && detail.contains("load_database_writes"),
            "{give}: {detail}"
        );
        world.database.run(&[&take]);
        let dry = json!({"plan": plan, "dry_run": true});
        let (status, taken) = ask(&admin, Method::POST, "/load-test", &dry).await;
        assert_eq!(status, StatusCode::OK, "{take}: {taken}");
    }
    world.database.run(&[
        &format!("DROP OWNED BY {writer}"),
        &format!("DROP ROLE {writer}"),
    ]);
    admin.shutdown(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_neither_where_nor_that_it_writes_unless_the_app_does() {
    require!(database);
    let world = World::new();
    let admin = world.admin(false);
    let elsewhere = world.database.url_as("postgres");
    for (plan, status, says) in [
        (
            json!({"postgres": {"allow_writes": true}}),
            StatusCode::FORBIDDEN,
            "plan.postgres.allow_writes",
        ),
        (
            json!({"target": elsewhere, "postgres": {}}),
            StatusCode::FORBIDDEN,
            "plan.target",
        ),
        (
            json!({"scenarios": [{"name": "a", "target": elsewhere, "postgres": {}}]}),
            StatusCode::FORBIDDEN,
            "plan.scenarios[0].target",
        ),
        (
            json!({"postgres": {"sql": "SELEC 1"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "plan.postgres.sql",
        ),
        (
            json!({"postgres": {"sql": "SELECT $1::int"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "plan.postgres.parameters",
        ),
    ] {
        let (found, refused) = post(&admin, plan.clone()).await;
        assert_eq!(found, status, "{plan}: {refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with(says), "{plan}: {detail}");
    }
    // Each of them has left the place to the next, and what could not start is written down as such.
    let (_, runs) = ask(&admin, Method::GET, "/load-test", &json!({})).await;
    assert_eq!(runs["runs"], json!([]));
    let (_, audit) = ask(&admin, Method::GET, "/audit?name=load%20test", &json!({})).await;
    assert_eq!(audit["entries"][0]["outcome"], "not started", "{audit}");

    world
        .database
        .run(&[&format!("GRANT INSERT ON seen TO {}", world.role)]);
    let admin = world.admin(true);
    let write = "INSERT INTO seen VALUES (7)";
    let read_only = json!({"postgres": {"sql": write, "connections": 1, "requests": 2}});
    let found = report(&admin, read_only).await;
    assert_eq!(
        (&found["ok"], &found["errors"]["sql"]),
        (&json!(0), &json!(2)),
        "{found}"
    );
    let writing =
        json!({"postgres": {"sql": write, "allow_writes": true, "connections": 1, "requests": 2}});
    let found = report(&admin, writing).await;
    assert_eq!(found["ok"], 2, "{found}");
    assert_eq!(world.seen(), "3 15");
    admin.shutdown(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_said_to_be() {
    let admin = Admin::builder()
        .operator_token(TOKEN)
        .load_database("postgres://load:secret-canary@127.0.0.1:1/shop")
        .build()
        .unwrap();
    let (status, refused) = post(&admin, json!({"postgres": {}})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    assert!(!refused.to_string().contains("secret-canary"), "{refused}");
    let wrong = Admin::builder()
        .load_database("postgres://load:secret-canary@127.0.0.1,127.0.0.2/shop")
        .build();
    let says = wrong.unwrap_err().to_string();
    assert!(
        says.contains("load tests") && !says.contains("secret-canary"),
        "{says}"
    );
    admin.shutdown(std::time::Duration::from_secs(5)).await;
}
