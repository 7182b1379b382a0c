//! A caching reverse proxy: `cargo run -p reverse-proxy -- --listen 127.0.0.1:3002 --upstream http://127.0.0.1:8000`.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, Request, StatusCode, Uri, header};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use pitcrew::{CacheLayer, cache::Region};
use tower::Layer;

type Upstream = (Client<HttpConnector, Body>, Uri);

/// Fields of one connection, which a proxy does not forward (RFC 9110, 7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Before the cache, not behind it: a client names fields of its own choice in `Connection`, and the cache must look at the
/// request that the upstream gets.
fn take_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

async fn forward(
    State((client, upstream)): State<Upstream>,
    mut request: Request<Body>,
) -> Response {
    let path = request.uri().path_and_query().cloned();
    let mut target = upstream.into_parts();
    target.path_and_query = path;
    let Ok(target) = Uri::from_parts(target) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = target;
    match client.request(request).await {
        Ok(mut response) => {
            take_hop_by_hop(response.headers_mut());
            response.into_response()
        }
        Err(error) => (
            StatusCode::BAD_GATEWAY,
            format!("the upstream did not answer: {error}\n"),
        )
            .into_response(),
    }
}

/// What a cache in front of a foreign server may do; with `--conformance` everything that the suite of that name looks for,
/// also what nobody should switch on for an app with users.
fn region() -> Region {
    if !std::env::args().any(|word| word == "--conformance") {
        return Region::api();
    }
    Region::api()
        .heuristic(true)
        .errors(true)
        .normalize_vary(true)
        .partial(true)
        .store_post(true)
        .insecure_store_set_cookie(true)
        .insecure_ignore_cookie(true)
}

/// The value after `name` on the command line.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

/// Accepts on a runtime of its own: a request never changes threads, and no thread waits for another. What a request costs is
/// then HTTP and the system, not scheduling.
fn serve(
    listener: std::net::TcpListener,
    layer: &CacheLayer,
    upstream: Uri,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let app = Router::new()
            .fallback(forward)
            .with_state((client, upstream));
        // Outside of the router, so that a hit does not walk through it.
        let app = layer.layer(app);
        let app = tower::util::MapRequest::new(app, |mut request: Request<Incoming>| {
            take_hop_by_hop(request.headers_mut());
            request
        });
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // Out of file descriptors, or the client is gone already: the others are served on.
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // An answer is written at once; where this fails it is only slower.
            let _ = stream.set_nodelay(true);
            let app = TowerToHyperService::new(app.clone());
            // A connection that ends early is its client's affair.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), app));
        }
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = argument("--listen").unwrap_or_else(|| "127.0.0.1:3002".to_owned());
    let upstream: Uri = argument("--upstream")
        .ok_or(
            "usage: reverse-proxy [--listen ADDRESS] --upstream http://HOST:PORT [--conformance]",
        )?
        .parse()?;
    if upstream.scheme_str() != Some("http")
        || upstream.authority().is_none()
        || upstream.path() != "/"
    {
        return Err("--upstream wants http://HOST:PORT, without a path".into());
    }
    let (layer, _cache) = CacheLayer::builder().region(region()).build();
    let listener = std::net::TcpListener::bind(&listen)?;
    listener.set_nonblocking(true)?;
    println!("listening on http://{}", listener.local_addr()?);
    std::thread::scope(|threads| {
        let cores = std::thread::available_parallelism()?.get();
        let servers: Vec<_> = (0..cores)
            .map(|_| {
                let (listener, layer, upstream) = (listener.try_clone()?, &layer, upstream.clone());
                Ok(threads.spawn(move || serve(listener, layer, upstream)))
            })
            .collect::<std::io::Result<_>>()?;
        for server in servers {
            server.join().map_err(|_| "a server's thread panicked")??;
        }
        Ok(())
    })
}
