//! A small service with everything that the admin router can show: the three layers, a pool, a database with a workload, and
//! visitors. It listens; who looks at it comes over HTTP.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use bb8_postgres::PostgresConnectionManager;
use demo::Client;
use http::{Method, StatusCode, header};
use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
use pitcrew_admin::load::Ceilings;
use pitcrew_admin::{Admin, PoolGauges};
use pitcrew_stack::testing::{self, TestDatabase};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

pub(crate) const OPERATOR: &str = "operator-token-of-this-test";
pub(crate) const READER: &str = "reader-token-of-this-test";

/// Without the index on `customer` that its statements have use for.
const TABLE: [&str; 2] = [
    "CREATE TABLE orders AS SELECT n AS id, n % 1000 AS customer, n % 90 AS price FROM generate_series(1, 50000) AS n",
    "ANALYZE orders",
];
const ASKED: &str = "SELECT count(*), coalesce(sum(price), 0) FROM orders WHERE customer = $1";
const CONNECTIONS: u32 = 4;
/// How long visitors think: the service is never idle, and this machine never busy with it.
const THINKING: Duration = Duration::from_millis(20);

type Pool = bb8::Pool<PostgresConnectionManager<NoTls>>;

/// The service, which listens until it is dropped.
pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    pub(crate) database: TestDatabase,
    admin: Admin,
    server: JoinHandle<()>,
    visitors: JoinHandle<()>,
}

impl Shop {
    /// Opens it, lets it have visitors, and waits until the advisor knows their statements.
    pub(crate) async fn open() -> Self {
        let database = testing::database();
        database.run(&TABLE);
        Self::open_on(database).await
    }

    /// Closes it, and opens it anew on the same database: a restart.
    pub(crate) async fn reopen(self, meanwhile: &[&str]) -> Self {
        let database = self.close().await;
        database.run(meanwhile);
        Self::open_on(database).await
    }

    async fn open_on(database: TestDatabase) -> Self {
        let config: tokio_postgres::Config = database.url.parse().unwrap();
        let manager = PostgresConnectionManager::new(config, NoTls);
        let pool = bb8::Pool::builder()
            .max_size(CONNECTIONS)
            .build(manager)
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();

        let (cache_layer, cache) = CacheLayer::builder().build();
        let (memory_layer, memory) = MemoryLayer::builder()
            .interval(Duration::from_secs(1))
            .build();
        let (latency_layer, latency) = LatencyLayer::builder().build();
        let watched = pool.clone();
        let admin = Admin::builder()
            .cache(cache)
            .memory(memory)
            .latency(latency)
            .database(database.url.as_str())
            .pool("app", move || gauges(&watched))
            .self_address(format!("http://{address}"))
            // Whatever somebody thinks of, it ends soon and leaves room for others.
            .load_ceilings(
                Ceilings::default()
                    .connections(4)
                    .rate_per_s(50.0)
                    .seconds(2.0),
            )
            .allow_host("admin.example")
            .instance("shop-1")
            .environment("test")
            .keep_in_database(true)
            .operator_token(OPERATOR)
            .reader_token(READER)
            .build()
            .unwrap();
        let app = Router::new()
            .route("/", get(|| async { "the shop" }))
            .route("/customers/{key}/orders", get(orders))
            .with_state(pool)
            .layer(cache_layer)
            .layer(memory_layer)
            .layer(latency_layer)
            .nest_service("/performance", admin.router());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let visitors = tokio::spawn(visits(address));
        let shop = Self {
            address,
            database,
            admin,
            server,
            visitors,
        };
        shop.until("/database/indexes", |told| {
            told["suggestions"][0]["id"].is_string()
        })
        .await;
        shop
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks the admin router as the operator, until it answers what `is_it`.
    pub(crate) async fn until(&self, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begin = std::time::Instant::now();
        loop {
            let told = self.ask(Method::GET, path, None).await.1;
            if is_it(&told) {
                return told;
            }
            assert!(begin.elapsed() < crate::PATIENCE, "{path}: {told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks the admin router as the operator.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut client = Client::connect(self.address).await.unwrap();
        let bearer = format!("Bearer {OPERATOR}");
        let headers = [(header::AUTHORIZATION, bearer.as_str())];
        let path = format!("/performance{path}");
        let body = body.map(|body| body.to_string());
        let answer = client.send(method, &path, &headers, body).await.unwrap();
        let told = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, told)
    }

    /// Sends the visitors away, once something of theirs is in the cache.
    pub(crate) async fn leave(&self) {
        let path = "/cache/explain?path=/customers/1/orders";
        self.until(path, |told| told["decision"] == "hit").await;
        self.visitors.abort();
    }

    /// Closes it in order. Its database is what is left.
    pub(crate) async fn close(self) -> TestDatabase {
        self.visitors.abort();
        self.server.abort();
        self.admin.shutdown(Duration::from_secs(5)).await;
        self.database
    }
}

async fn orders(
    State(pool): State<Pool>,
    Path(key): Path<i32>,
) -> Result<([(header::HeaderName, &'static str); 1], Json<Value>), StatusCode> {
    let away = |_| StatusCode::SERVICE_UNAVAILABLE;
    let connection = pool
        .get()
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let row = connection.query_one(ASKED, &[&key]).await.map_err(away)?;
    let (count, sum): (i64, i64) = (row.get(0), row.get(1));
    let fresh = [(header::CACHE_CONTROL, "max-age=300")];
    Ok((fresh, Json(json!({"orders": count, "sum": sum}))))
}

/// One visitor, who comes again and again.
async fn visits(address: SocketAddr) {
    let mut client = Client::connect(address).await.unwrap();
    for round in 0.. {
        let path = match round % 4 {
            0 => "/".to_owned(),
            _ => format!("/customers/{}/orders", round % 40),
        };
        // Its end is the test's.
        if client.send(Method::GET, &path, &[], None).await.is_err() {
            return;
        }
        tokio::time::sleep(THINKING).await;
    }
}

fn gauges(pool: &Pool) -> PoolGauges {
    let state = pool.state();
    PoolGauges {
        max_connections: CONNECTIONS,
        connections: state.connections,
        idle: state.idle_connections,
        direct: state.statistics.get_direct,
        waited: state.statistics.get_waited,
        timed_out: state.statistics.get_timed_out,
        wait_ms: state.statistics.get_wait_time.as_secs_f64() * 1e3,
    }
}
