//! end-to-end
//! The demo's service while its servers die: what visitors see.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use demo::{Answer, App, Client, PAST_THE_CACHE, Population, Setup, Store, Visit, Visitor};
use http::{Method, StatusCode, header};
use pitcrew_stack::{PostgresOptions, Redis, require, testing};
use serde_json::Value;
use tokio::sync::mpsc;

const SCALE: f64 = 0.01;
const VISITORS: u64 = 8;
const VISITS: usize = 60;
/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// As much of the schema as the routes below ask for.
const ORDERS: &str = "CREATE TABLE orders (o_orderkey int, o_custkey int, o_orderdate date, o_orderstatus text, o_totalprice numeric)";

async fn start(database_url: &str, redis_url: Option<String>) -> App {
    let setup = Setup {
        store: Store::connect(database_url).await.unwrap(),
        database_url: None,
        redis_url,
    };
    App::start(&setup).await.unwrap()
}

/// A visitor's connection; through whichever instance, it is one service.
async fn visitor(app: SocketAddr) -> Client {
    Client::connect(app)
        .await
        .unwrap()
        .with_host("shop.example")
}

async fn send(client: &mut Client, visit: &Visit, past_the_cache: bool) -> Answer {
    let method = match visit.body {
        Some(_) => Method::POST,
        None => Method::GET,
    };
    let headers = if past_the_cache {
        &PAST_THE_CACHE[..]
    } else {
        &[]
    };
    client
        .send(method, &visit.path, headers, visit.body.clone())
        .await
        .unwrap()
}

fn read(path: &str) -> Visit {
    Visit {
        route: "",
        path: path.to_owned(),
        body: None,
    }
}

/// The detail of an answer that has to be a problem of that status.
fn detail(answer: &Answer, status: StatusCode) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    problem["detail"].as_str().unwrap().to_owned()
}

fn visits(seed: u64) -> Vec<Visit> {
    let mut visitor = Visitor::new(seed, Population::at(SCALE));
    (0..VISITS).map(|_| visitor.next_visit()).collect()
}

/// What the visitors' orders change: these answers depend on when they are asked for.
fn changed(visits: &[Visit]) -> BTreeSet<String> {
    let orders = visits.iter().filter_map(|visit| visit.body.as_deref());
    let paths = orders.flat_map(|body| {
        let order: Value = serde_json::from_str(body).unwrap();
        [
            format!("/customers/{}/orders", order["customer"]),
            format!("/parts/{}/sales", order["part"]),
        ]
    });
    let dashboards = ["/dashboard/revenue", "/dashboard/top-customers"];
    paths.chain(dashboards.map(str::to_owned)).collect()
}

/// What the second level of an instance's cache counted.
async fn l2(app: &App, figure: &str) -> u64 {
    let mut client = Client::connect(app.address).await.unwrap();
    let bearer = format!("Bearer {}", app.token);
    let headers = [(header::AUTHORIZATION, bearer.as_str())];
    let answer = client
        .send(Method::GET, "/performance/cache/stats", &headers, None)
        .await
        .unwrap();
    let stats: Value = serde_json::from_slice(&answer.body).unwrap();
    stats["l2"][figure].as_u64().unwrap()
}

/// Waits until something stands in Redis: writes are behind.
async fn until_stored(redis: &Redis) {
    let begin = Instant::now();
    while redis.command(&["DBSIZE"]).unwrap() == "0" {
        assert!(begin.elapsed() < PATIENCE, "nothing was stored in Redis");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_visitor_hangs_up_is_purged_all_the_same() {
    require!(database);
    let database = testing::database();
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    demo::load(&client, SCALE).await.unwrap();
    let app = start(&database.url, None).await;
    let orders_of = async |customer: i32| -> i64 {
        let sql = "SELECT count(*) FROM orders WHERE o_custkey = $1";
        client.query_one(sql, &[&customer]).await.unwrap().get(0)
    };
    // The insert waits for this lock, so that the visitor is gone before it is committed.
    let (mut holder, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let customer = 1;
    let page = read(&format!("/customers/{customer}/orders"));
    let mut visitor_who_stays = visitor(app.address).await;
    let count = |answer: &Answer| {
        let orders: Value = serde_json::from_slice(&answer.body).unwrap();
        orders.as_array().unwrap().len() as i64
    };
    let before = count(&send(&mut visitor_who_stays, &page, false).await);
    assert_eq!(before, orders_of(customer).await);

    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE orders IN SHARE MODE")
        .await
        .unwrap();
    let order = Visit {
        route: "",
        path: "/orders".to_owned(),
        body: Some(format!(
            r#"{{"customer":{customer},"part":1,"quantity":1}}"#
        )),
    };
    let mut leaving = visitor(app.address).await;
    let hanging_up = tokio::spawn(async move { send(&mut leaving, &order, false).await });
    let begin = Instant::now();
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass";
    while client
        .query_one(waiting, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(begin.elapsed() < PATIENCE, "the insert never waited");
    }
    hanging_up.abort();
    assert!(hanging_up.await.unwrap_err().is_cancelled());
    lock.rollback().await.unwrap();
    while orders_of(customer).await == before {
        assert!(begin.elapsed() < PATIENCE, "the order never came");
    }
    // Stored for 60 s: without the purge it would stand for as long.
    while count(&send(&mut visitor_who_stays, &page, false).await) == before {
        assert!(
            begin.elapsed() < PATIENCE / 2,
            "the page is still the old one"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_is_killed_in_the_middle_of_the_demo_changes_no_response() {
    require!(database, redis);
    let database = testing::database();
    let mut redis = testing::redis();
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    demo::load(&client, SCALE).await.unwrap();
    // Two instances, so that Redis answers too and is not only asked.
    let instances = [
        start(&database.url, Some(redis.url())).await,
        start(&database.url, Some(redis.url())).await,
    ];

    let all: Vec<Visit> = (0..VISITORS).flat_map(visits).collect();
    let changed = changed(&all);
    let mut uncached = BTreeMap::new();
    let mut client = visitor(instances[0].address).await;
    for visit in all.iter().filter(|visit| visit.body.is_none()) {
        if !changed.contains(&visit.path) && !uncached.contains_key(&visit.path) {
            let answer = send(&mut client, visit, true).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", visit.path);
            uncached.insert(visit.path.clone(), answer.body);
        }
    }
    assert!(uncached.len() > 50, "{} are compared", uncached.len());

    // Before: one instance stores, the other finds it in Redis. Several, for a look-up on a busy machine may take too long.
    let mut other = visitor(instances[1].address).await;
    for path in uncached.keys().take(20) {
        send(&mut client, &read(path), false).await;
    }
    until_stored(&redis).await;
    for path in uncached.keys().take(20) {
        send(&mut other, &read(path), false).await;
    }
    assert!(l2(&instances[1], "hits").await > 0, "Redis is not used");

    // One place: no visitor runs ahead of what is looked at here, so the kill falls into the middle.
    let (sender, mut answers) = mpsc::channel(1);
    for seed in 0..VISITORS {
        let sender = sender.clone();
        let address = instances[seed as usize % instances.len()].address;
        tokio::spawn(async move {
            let mut client = visitor(address).await;
            for visit in visits(seed) {
                let answer = send(&mut client, &visit, false).await;
                sender.send((visit, answer)).await.unwrap();
            }
        });
    }
    drop(sender);
    let mut seen = 0;
    while let Some((visit, answer)) = answers.recv().await {
        seen += 1;
        if seen == all.len() / 2 {
            redis.kill();
        }
        let expected = match visit.body {
            Some(_) => StatusCode::CREATED,
            None => StatusCode::OK,
        };
        assert_eq!(answer.status, expected, "{}", visit.path);
        if let Some(body) = uncached.get(&visit.path).filter(|_| visit.body.is_none()) {
            assert_eq!(&answer.body, body, "{}", visit.path);
        }
    }
    assert_eq!(seen, all.len(), "a visitor had no answer");
    for instance in &instances {
        assert!(l2(instance, "errors").await > 0, "Redis was not missed");
    }

    // A purge needs no Redis either: whoever asks next sees the new order.
    send(&mut client, &read("/customers/1/orders"), false).await;
    let order = Visit {
        body: Some(r#"{"customer": 1, "part": 1, "quantity": 1}"#.to_owned()),
        ..read("/orders")
    };
    let added = send(&mut client, &order, false).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let added: Value = serde_json::from_slice(&added.body).unwrap();
    let answer = send(&mut client, &read("/customers/1/orders"), false).await;
    let orders: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(orders[0]["key"], added["key"], "{orders}");
}

#[tokio::test]
async fn a_dead_database_is_a_503_problem_that_says_when_to_come_again() {
    require!(database);
    let mut postgres = testing::postgres(PostgresOptions::default());
    postgres.create_database("shop").unwrap();
    postgres.run("shop", &[ORDERS]).unwrap();
    let app = start(&postgres.url("shop"), None).await;
    let mut client = visitor(app.address).await;
    let visit = read("/customers/1/orders");
    assert_eq!(send(&mut client, &visit, true).await.status, StatusCode::OK);

    postgres.kill();
    // First the pool's connection turns out to be dead; then none can be had.
    for reason in ["did not answer", "no connection"] {
        let answer = send(&mut client, &visit, true).await;
        let detail = detail(&answer, StatusCode::SERVICE_UNAVAILABLE);
        assert!(detail.contains(reason), "{detail}");
        let after = answer.headers[header::RETRY_AFTER].to_str().unwrap();
        assert!(after.parse::<u32>().unwrap() > 0);
    }

    postgres.start_again().unwrap();
    let begin = Instant::now();
    while send(&mut client, &visit, true).await.status != StatusCode::OK {
        assert!(begin.elapsed() < PATIENCE, "the service stays away");
    }
}

#[tokio::test]
async fn what_the_database_calls_a_data_exception_is_a_422_problem() {
    require!(database);
    let database = testing::database();
    database.run(&[ORDERS]);
    let app = start(&database.url, None).await;
    let mut client = visitor(app.address).await;
    // A date to us; PostgreSQL has no year 0 and answers SQLSTATE 22008.
    let answer = send(&mut client, &read("/orders?since=0000-01-01"), false).await;
    detail(&answer, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = send(&mut client, &read("/orders?since=1997-01-01"), false).await;
    assert_eq!(answer.status, StatusCode::OK);
}
