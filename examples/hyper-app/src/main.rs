//! The three layers on plain hyper, without axum: `cargo run -p hyper-app`, then `curl -i http://127.0.0.1:3001/`.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header::CACHE_CONTROL};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
use tower::ServiceBuilder;

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut response = Response::new(Full::from(format!("you asked for {}\n", request.uri())));
    let fresh = http::HeaderValue::from_static("max-age=10");
    response.headers_mut().insert(CACHE_CONTROL, fresh);
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Without axum there is no route template: a closure names the routes, so that their number stays small.
    let label = |parts: &http::request::Parts| match parts.uri.path() {
        "/" => Some("/".to_owned()),
        _ => None,
    };
    let (cache_layer, cache) = CacheLayer::builder().mount("hyper-app").build();
    let (memory_layer, _memory) = MemoryLayer::builder().build();
    let (latency_layer, latency) = LatencyLayer::builder().route_label(label).build();
    // In a `ServiceBuilder` the first layer is the outermost.
    let service = ServiceBuilder::new()
        .layer(latency_layer)
        .layer(memory_layer)
        .layer(cache_layer)
        .service_fn(handle);

    let wanted = std::env::args().nth(1).unwrap_or("127.0.0.1:3001".into());
    let listener = tokio::net::TcpListener::bind(&wanted).await;
    let listener = listener.unwrap_or_else(|error| {
        eprintln!("cannot listen on {wanted}: {error}; give a free one: cargo run -p hyper-app -- 127.0.0.1:3101");
        std::process::exit(1)
    });
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        let (latency, cache) = (latency.clone(), cache.clone());
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                eprintln!("a connection ended early: {error}");
            }
            let (total, stats) = (latency.snapshot().total(), cache.stats());
            println!(
                "{} requests, p50 {:.3} ms, {} hits",
                total.count, total.p50_ms, stats.hits
            );
        });
    }
}
