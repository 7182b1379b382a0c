//! A service with many routes, all layers and the admin router, which `./pitcrew bench admin` measures from outside.
//!
//! `admin-service ADDRESS ROUTES` listens until it is ended. In the environment: `PITCREW_DATABASE_URL`, the database that the admin
//! router looks at, and `PITCREW_TOKEN`, an operator's.

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
use pitcrew_admin::Admin;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("admin-service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(routes)) = (arguments.next(), arguments.next()) else {
        return Err("usage: admin-service ADDRESS ROUTES".into());
    };
    let routes: usize = routes.parse()?;
    let (cache_layer, cache) = CacheLayer::builder().build();
    let (memory_layer, memory) = MemoryLayer::builder()
        .interval(Duration::from_secs(1))
        .build();
    let (latency_layer, latency) = LatencyLayer::builder().build();
    let admin = Admin::builder()
        .cache(cache)
        .memory(memory)
        .latency(latency)
        .database(std::env::var("PITCREW_DATABASE_URL")?)
        .operator_token(std::env::var("PITCREW_TOKEN")?)
        .build()?;
    let app: Router = (0..routes)
        .fold(Router::new(), |app, number| {
            app.route(&format!("/route-{number}/{{id}}"), get(answer))
        })
        .layer(cache_layer)
        .layer(memory_layer)
        .layer(latency_layer)
        .nest_service("/performance", admin.router());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn answer() -> &'static str {
    "done"
}
