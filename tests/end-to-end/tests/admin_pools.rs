//! The app's own pools, resized by an operator and by the cycle while they are used.

#![allow(clippy::unwrap_used)]

#[path = "support/router.rs"]
mod router;

use std::sync::Arc;

use bb8_postgres::PostgresConnectionManager;
use http::{Method, StatusCode};
use pitcrew_admin::{Policy, SwapPool, Tuning};
use pitcrew_stack::{require, testing};
use router::{admin, ask, cycle, get};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

type Pool = SwapPool<PostgresConnectionManager<NoTls>>;

async fn pool_of(max: u32, url: &str) -> Arc<Pool> {
    let manager = PostgresConnectionManager::new_from_stringlike(url, NoTls).unwrap();
    let pool = SwapPool::new(max, move |max| {
        let manager = manager.clone();
        async move { bb8::Pool::builder().max_size(max).build(manager).await }
    });
    pool.await.unwrap()
}

/// Eight who ask the database again and again.
fn work(pool: &Arc<Pool>) -> Vec<JoinHandle<()>> {
    let worker = |_| {
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            for _ in 0..50 {
                let connection = pool.get().await.unwrap();
                connection
                    .query_one("SELECT pg_sleep(0.002)", &[])
                    .await
                    .unwrap();
                // Others have their turn: who asks again at once finds its own connection there.
                drop(connection);
                tokio::task::yield_now().await;
            }
        })
    };
    (0..8).map(worker).collect()
}

#[tokio::test]
async fn a_pool_that_is_short_grows_as_far_as_the_policy_says() {
    require!(database, extension, statements);
    let database = testing::database();
    let pool = pool_of(2, &database.url).await;
    let admin = |tuning: Tuning| {
        let shown = Arc::clone(&pool);
        admin(&database.url, |builder| {
            builder.policy(Policy::Tune(tuning)).swap_pool("app", shown)
        })
    };
    let (still, growing) = (
        admin(Tuning::default()),
        admin(Tuning::default().pool_connections(4)),
    );
    let resized = |report: &Value| {
        let actions = report["actions"].as_array().unwrap();
        let resized = actions
            .iter()
            .find(|action| action["kind"] == "resize_pool");
        resized.cloned().unwrap_or_default()
    };
    // By half, then to the policy's bound, then no more; a pool of another size is judged anew.
    for (admin, dry_run, wanted) in [
        (&still, false, 2),
        (&growing, true, 2),
        (&growing, false, 3),
        (&growing, false, 4),
        (&growing, false, 4),
    ] {
        let before = pool.max_connections();
        for worker in work(&pool) {
            worker.await.unwrap();
        }
        let report = cycle(admin, json!({"dry_run": dry_run})).await;
        assert_eq!(pool.max_connections(), wanted, "{report}");
        let state = match (wanted > before, dry_run) {
            (true, _) => json!("done"),
            (false, true) => json!("planned"),
            (false, false) => Value::Null,
        };
        assert_eq!(resized(&report)["state"], state, "{report}");
    }
    let audit = get(&growing, "/audit?who=cycle&name=cycle%20resize").await;
    assert_eq!(audit["entries"].as_array().unwrap().len(), 4, "{audit}");
}

#[tokio::test]
async fn a_pool_is_resized_under_load_and_no_request_is_lost() {
    require!(database);
    let database = testing::database();
    let pool = pool_of(2, &database.url).await;
    let shown = Arc::clone(&pool);
    let admin = admin(&database.url, |builder| builder.swap_pool("app", shown));
    let workers = work(&pool);
    for max in [4, 1, 6] {
        let body = Some(json!({"max_connections": max}));
        let (status, resized) = ask(&admin, Method::POST, "/database/pools/app/resize", body).await;
        assert_eq!(
            (status, &resized["max_connections"]),
            (StatusCode::OK, &json!(max)),
            "{resized}"
        );
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let pools = get(&admin, "/database/pools").await;
    assert_eq!(pools["pools"][0]["max_connections"], 6, "{pools}");
    let (status, wrong) = ask(
        &admin,
        Method::POST,
        "/database/pools/app/resize",
        Some(json!({"max_connections": 0})),
    )
    .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
}
