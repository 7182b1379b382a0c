//! The three layers and the admin router on a small Axum app. Needs no database and no Redis: `cargo run -p quickstart`.

use std::{alloc::System, time::Duration};

use axum::{Router, extract::Path, http::header::CACHE_CONTROL, routing::get};
use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer, memory::CountingAlloc};
use pitcrew_admin::Admin;

// Lets the memory layer tell how many bytes each route allocates.
#[global_allocator]
static ALLOC: CountingAlloc<System> = CountingAlloc::new(System);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&wanted).await;
    let listener = listener.unwrap_or_else(|error| {
        eprintln!("cannot listen on {wanted}: {error}; give a free one: cargo run -p quickstart -- 127.0.0.1:3100");
        std::process::exit(1)
    });
    let address = format!("http://{}", listener.local_addr()?);

    let (cache_layer, cache) = CacheLayer::builder().build();
    let (memory_layer, memory) = MemoryLayer::builder().build();
    let (latency_layer, latency) = LatencyLayer::builder().build();
    let admin = Admin::builder()
        .cache(cache)
        .memory(memory)
        .latency(latency)
        .self_address(&address)
        .build()?;

    let app = Router::new()
        .route("/squares/{n}", get(squares))
        .layer(cache_layer)
        .layer(memory_layer)
        .layer(latency_layer) // last, so outermost: it times everything
        .nest_service("/performance", admin.router()); // after the layers: never cached

    let token = admin.generated_token().unwrap_or_default();
    println!("try   curl -i {address}/squares/7      (twice: the second answer is a hit)");
    println!("then  curl -H 'Authorization: Bearer {token}' {address}/performance/status");
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    admin.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// A slow answer that says how long it may be reused.
async fn squares(Path(n): Path<u32>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let square = u64::from(n) * u64::from(n);
    (
        [(CACHE_CONTROL, "max-age=30")],
        format!("{n} squared is {square}\n"),
    )
}
