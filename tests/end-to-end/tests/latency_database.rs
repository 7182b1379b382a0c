//! Where the time of requests goes, and which of them ask the database again and again, on a real pool and a real database.

#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, routing::get};
use bb8_postgres::PostgresConnectionManager;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use pitcrew::{
    LatencyHandle, LatencyLayer,
    latency::{Client, DATABASE, NPlusOne, POOL, Pool, RouteTime, Window, in_request, segment},
};
use pitcrew_stack::{
    require,
    testing::{self, TestDatabase},
};
use tokio_postgres::NoTls;
use tower::ServiceExt;

type Connections = Pool<bb8::Pool<PostgresConnectionManager<NoTls>>>;

/// Each list that a route shows is as long.
const ITEMS: i64 = 12;

fn database() -> TestDatabase {
    let database = testing::database();
    database.run(&[
        "CREATE TABLE items (id bigint PRIMARY KEY, list bigint NOT NULL, name text NOT NULL)",
        "INSERT INTO items SELECT i, i % 5, 'item ' || i FROM generate_series(0, 59) i",
        "CREATE TABLE seen (item bigint)",
    ]);
    database
}

async fn pool(database: &TestDatabase, size: u32) -> Connections {
    let manager = PostgresConnectionManager::new(database.url.parse().unwrap(), NoTls);
    let pool = bb8::Pool::builder()
        .max_size(size)
        .build(manager)
        .await
        .unwrap();
    Pool::new(pool)
}

fn mounted(routes: Router<Arc<Connections>>, pool: Connections) -> (Router, LatencyHandle) {
    let settings = NPlusOne::default().allow_route("/pages");
    let (layer, handle) = LatencyLayer::builder().n_plus_one(settings).build();
    (routes.with_state(Arc::new(pool)).layer(layer), handle)
}

async fn ask(app: &Router, path: &str) {
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.into_body().collect().await.unwrap();
}

fn part(route: &RouteTime, name: &str) -> f64 {
    let found = route.parts.iter().find(|part| part.name == name);
    found.map_or(0.0, |part| part.mean_ms)
}

/// What a stopwatch in the handler says, in nanoseconds: waiting for a connection, the database, the handler's own segment.
#[derive(Default)]
struct Stopwatch([AtomicU64; 3]);

impl Stopwatch {
    async fn timed<F: Future>(&self, part: usize, work: F) -> F::Output {
        let began = Instant::now();
        let output = work.await;
        self.0[part].fetch_add(began.elapsed().as_nanos() as u64, Relaxed);
        output
    }

    fn mean_ms(&self, part: usize, requests: u64) -> f64 {
        self.0[part].load(Relaxed) as f64 / requests as f64 / 1e6
    }
}

/// A pool of one connection, and four requests at a time, each of which sleeps in the database and then works for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_and_whole_agree_where_a_pool_is_contended() {
    const ROUNDS: u64 = 5;
    const AT_ONCE: u32 = 4;

    require!(database);
    let database = database();
    let stopwatch = Arc::new(Stopwatch::default());
    let watch = stopwatch.clone();
    let routes = Router::new().route(
        "/report",
        get(|State(pool): State<Arc<Connections>>| async move {
            {
                let client = Client::new(watch.timed(0, pool.get()).await.unwrap());
                let sleep = client.query("SELECT pg_sleep($1)", &[&0.02_f64]);
                watch.timed(1, sleep).await.unwrap();
            }
            let render = segment("render").run(tokio::time::sleep(Duration::from_millis(5)));
            watch.timed(2, render).await;
            "done"
        }),
    );
    let pool = pool(&database, 1).await;
    let (app, handle) = mounted(routes, pool.clone());
    for _ in 0..ROUNDS {
        // All wait before one gets it.
        let held = pool.get_owned().await.unwrap();
        let asked = (0..AT_ONCE).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, "/report").await })
        });
        let asked: Vec<_> = asked.collect();
        while pool.state().statistics.pending_gets() < u64::from(AT_ONCE) {
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in asked {
            task.await.unwrap();
        }
    }
    let report = handle.where_time_goes(Window::SinceStart);
    let [route] = report.routes.as_slice() else {
        panic!("{report:?}")
    };
    println!("{}", route.verdict);
    let requests = ROUNDS * u64::from(AT_ONCE);
    assert_eq!((route.requests, report.dropped_requests), (requests, 0));

    // Parts and rest are the whole, the whole is what the layer's own series say, and each part is what a stopwatch says.
    let agree = |told: f64, truth: f64| {
        assert!(
            (told / truth - 1.0).abs() < 0.05,
            "{told} {truth}: {report:?}"
        );
    };
    let parts: f64 = route.parts.iter().map(|part| part.mean_ms).sum();
    agree(parts + route.rest_mean_ms, route.mean_ms);
    agree(route.mean_ms, handle.snapshot().total().mean_ms);
    for (at, name) in [POOL, DATABASE, "render"].into_iter().enumerate() {
        agree(part(route, name), stopwatch.mean_ms(at, requests));
    }
    // Of four that wait at once each waits for those before it: 0, 20, 40 and 60 ms at least.
    assert!(part(route, POOL) >= 30.0, "{report:?}");
    assert!(
        route.verdict.contains("waiting for a connection"),
        "{}",
        route.verdict
    );
}

async fn ids(
    client: &Client<bb8::PooledConnection<'_, PostgresConnectionManager<NoTls>>>,
    list: i64,
) -> Vec<i64> {
    let rows = client
        .query("SELECT id FROM items WHERE list = $1 ORDER BY id", &[&list])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// One route that asks for each item, one that asks for the same each time, one that writes each; and six that are clean.
fn routes() -> Router<Arc<Connections>> {
    Router::new()
        .route(
            "/each",
            get(|State(pool): State<Arc<Connections>>| async move {
                let client = Client::new(pool.get().await.unwrap());
                let one = client
                    .prepare("SELECT name FROM items WHERE id = $1")
                    .await
                    .unwrap();
                for id in ids(&client, 1).await {
                    client.query_one(&one, &[&id]).await.unwrap();
                }
            }),
        )
        .route(
            "/same",
            get(|State(pool): State<Arc<Connections>>| async move {
                let client = Client::new(pool.get().await.unwrap());
                for _ in 0..ITEMS {
                    let count = "SELECT count(*) FROM items WHERE list = $1";
                    client.query_one(count, &[&1_i64]).await.unwrap();
                }
            }),
        )
        .route(
            "/literals",
            get(|State(pool): State<Arc<Connections>>| async move {
                let mut client = Client::new(pool.get().await.unwrap());
                let transaction = client.transaction().await.unwrap();
                for id in 0..ITEMS {
                    let insert = format!("INSERT INTO seen (item) VALUES ({id})");
                    transaction.execute(&insert, &[]).await.unwrap();
                }
                transaction.rollback().await.unwrap();
            }),
        )
        // Clean: one statement for all.
        .route(
            "/any",
            get(|State(pool): State<Arc<Connections>>| async move {
                let client = Client::new(pool.get().await.unwrap());
                let ids = ids(&client, 1).await;
                let names = "SELECT name FROM items WHERE id = ANY($1)";
                client.query(names, &[&ids]).await.unwrap();
            }),
        )
        // Clean: all rows are written with one.
        .route(
            "/unnest",
            get(|State(pool): State<Arc<Connections>>| async move {
                let mut client = Client::new(pool.get().await.unwrap());
                let ids = ids(&client, 2).await;
                let transaction = client.transaction().await.unwrap();
                let insert = "INSERT INTO seen (item) SELECT id FROM unnest($1::bigint[]) AS u(id)";
                transaction.execute(insert, &[&ids]).await.unwrap();
                transaction.rollback().await.unwrap();
            }),
        )
        // Clean: many statements, each of which is another.
        .route(
            "/dashboard",
            get(|State(pool): State<Arc<Connections>>| async move {
                let client = Client::new(pool.get().await.unwrap());
                for column in [
                    "id",
                    "list",
                    "name",
                    "id + 1",
                    "list + 1",
                    "upper(name)",
                    "id - list",
                ] {
                    client
                        .query(&format!("SELECT max({column}) FROM items"), &[])
                        .await
                        .unwrap();
                }
            }),
        )
        // Clean: a cursor is read in parts by its nature.
        .route(
            "/cursor",
            get(|State(pool): State<Arc<Connections>>| async move {
                let mut client = Client::new(pool.get().await.unwrap());
                let transaction = client.transaction().await.unwrap();
                let portal = transaction.bind("SELECT id FROM items", &[]).await.unwrap();
                while !transaction
                    .query_portal(&portal, 5)
                    .await
                    .unwrap()
                    .is_empty()
                {}
                transaction
                    .batch_execute("DECLARE c CURSOR FOR SELECT id FROM items")
                    .await
                    .unwrap();
                for _ in 0..ITEMS {
                    transaction.query("FETCH 5 FROM c", &[]).await.unwrap();
                }
            }),
        )
        // Clean: three statements are no loop.
        .route(
            "/three",
            get(|State(pool): State<Arc<Connections>>| async move {
                let client = Client::new(pool.get().await.unwrap());
                for id in 0..3_i64 {
                    client
                        .query_opt("SELECT name FROM items WHERE id = $1", &[&id])
                        .await
                        .unwrap();
                }
            }),
        )
        // Declared: it goes through pages.
        .route(
            "/pages",
            get(|State(pool): State<Arc<Connections>>| async move {
                let client = Client::new(pool.get().await.unwrap());
                let mut after = -1_i64;
                loop {
                    let page = "SELECT id FROM items WHERE id > $1 ORDER BY id LIMIT 5";
                    let rows = client.query(page, &[&after]).await.unwrap();
                    let Some(last) = rows.last() else { break };
                    after = last.get(0);
                }
            }),
        )
}

#[tokio::test]
async fn routes_that_ask_again_and_again_are_named_and_clean_ones_are_not() {
    require!(database);
    let database = database();
    let (app, handle) = mounted(routes(), pool(&database, 2).await);
    for _ in 0..8 {
        for path in [
            "/each",
            "/same",
            "/literals",
            "/any",
            "/unnest",
            "/dashboard",
            "/cursor",
            "/three",
            "/pages",
        ] {
            ask(&app, path).await;
        }
    }
    let report = handle.n_plus_one(Window::SinceStart);
    let mut found: Vec<_> = report
        .findings
        .iter()
        .map(|row| {
            println!("{}", row.verdict);
            assert_eq!(
                (row.method.as_str(), row.requests, row.of_requests),
                ("GET", 8, 8)
            );
            assert_eq!(
                (row.executions_mean, i64::from(row.executions_max)),
                (ITEMS as f64, ITEMS)
            );
            assert!(row.mean_ms > 0.0);
            (
                row.route.as_str(),
                row.statement.as_str(),
                row.same_parameters,
            )
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("/each", "select name from items where id = ?", Some(false)),
            (
                "/literals",
                "insert into seen (item) values (?)",
                Some(false)
            ),
            (
                "/same",
                "select count (*) from items where list = ?",
                Some(true)
            ),
        ]
    );
    let times = handle.where_time_goes(Window::SinceStart);
    let statements = |path: &str| {
        let route = times
            .routes
            .iter()
            .find(|route| route.route == path)
            .unwrap();
        (route.statements_mean, route.statements_max)
    };
    assert_eq!(statements("/each"), (13.0, 13));
    assert_eq!(statements("/any"), (2.0, 2));
    assert_eq!(statements("/three"), (3.0, 3));
}

/// What waits for the database on another task, and rows that come one after the other, are the database's too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_spawned_tasks_are_measured() {
    require!(database);
    let database = database();
    let routes = Router::new().route(
        "/stream",
        get(|State(pool): State<Arc<Connections>>| async move {
            let task = tokio::spawn(in_request(async move {
                let client = Client::new(pool.get_owned().await.unwrap());
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
                let sleepy = "SELECT pg_sleep(0.01)::text FROM generate_series(1, 4)";
                let rows = client.query_raw(sleepy, parameters).await.unwrap();
                let mut rows = std::pin::pin!(rows);
                let mut count = 0;
                while let Some(row) = rows.next().await {
                    row.unwrap();
                    count += 1;
                }
                count
            }));
            task.await.unwrap().to_string()
        }),
    );
    let (app, handle) = mounted(routes, pool(&database, 1).await);
    ask(&app, "/stream").await;
    let report = handle.where_time_goes(Window::SinceStart);
    let [route] = report.routes.as_slice() else {
        panic!("{report:?}")
    };
    println!("{}", route.verdict);
    // Four rows that the server makes in 10 ms each.
    assert!(part(route, DATABASE) >= 40.0, "{report:?}");
    assert_eq!((route.statements_max, route.parts.len()), (1, 2));
}

/// Three rows in, each of which a trigger keeps for 10 ms; three rows out, which the server makes in as long each. Between two
/// pieces the app works for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_measured_to_their_end_and_what_the_app_does_between_is_not() {
    const OWN_WORK: Duration = Duration::from_millis(20);

    require!(database);
    let database = database();
    database.run(&[
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END'",
        "CREATE TRIGGER slowly BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION slowly()",
    ]);
    let stopwatch = Arc::new(Stopwatch::default());
    let watch = stopwatch.clone();
    let routes = Router::new().route(
        "/copy",
        get(|State(pool): State<Arc<Connections>>| async move {
            let client = Client::new(watch.timed(0, pool.get()).await.unwrap());
            let sink = watch.timed(1, client.copy_in::<_, bytes::Bytes>("COPY seen FROM STDIN"));
            let mut sink = std::pin::pin!(sink.await.unwrap());
            for row in ["1\n", "2\n", "3\n"] {
                let piece = bytes::Bytes::from_static(row.as_bytes());
                watch.timed(1, sink.send(piece)).await.unwrap();
                watch.timed(2, tokio::time::sleep(OWN_WORK)).await;
            }
            let written = watch.timed(1, sink.finish()).await.unwrap();
            let slowly = "COPY (SELECT pg_sleep(0.01), item FROM seen) TO STDOUT";
            let stream = watch.timed(1, client.copy_out(slowly)).await.unwrap();
            let mut stream = std::pin::pin!(stream);
            let mut read = 0;
            while let Some(piece) = watch.timed(1, stream.next()).await {
                piece.unwrap();
                read += 1;
                watch.timed(2, tokio::time::sleep(OWN_WORK)).await;
            }
            format!("{written} {read}")
        }),
    );
    let (app, handle) = mounted(routes, pool(&database, 1).await);
    ask(&app, "/copy").await;
    let report = handle.where_time_goes(Window::SinceStart);
    let [route] = report.routes.as_slice() else {
        panic!("{report:?}")
    };
    println!("{}", route.verdict);
    assert_eq!(route.statements_max, 2, "{report:?}");
    let (told, truth) = (part(route, DATABASE), stopwatch.mean_ms(1, 1));
    assert!(
        (told / truth - 1.0).abs() < 0.05,
        "{told} {truth}: {report:?}"
    );
    // The rows come in while the app works; they are counted as in at the end, and go out one after the other.
    assert!(told >= 30.0, "{report:?}");
    let own = stopwatch.mean_ms(2, 1);
    assert!(route.rest_mean_ms >= own * 0.95, "{own}: {report:?}");
}
