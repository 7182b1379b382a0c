//! Who is measured, and on what.

use std::convert::Infallible;

use axum::{Router, body::Body, extract::Path, routing::get};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use pitcrew::{LatencyLayer, MemoryLayer};
use tower::{Service, service_fn};

use crate::{mutex_hdr, noop::NoopLayer};

/// A browser's request.
pub(crate) fn request() -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = "/items/7".parse().expect("a path");
    for (name, value) in [
        (header::HOST, "example.org"),
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)"),
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip, br"),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    request
}

/// What a handler answers without a router.
pub(crate) fn handler()
-> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone
{
    service_fn(|_: Request<()>| async {
        Ok(Response::new(Full::new(Bytes::from_static(b"an item"))))
    })
}

/// The router that all share.
fn routes() -> Router {
    Router::new()
        .route(
            "/items/{id}",
            get(|Path(id): Path<u32>| async move {
                std::hint::black_box(id);
                "an item"
            }),
        )
        .route("/orders", get(|| async { "orders" }))
}

/// The router with a layer on it, and whatever must live as long.
pub(crate) fn router(layer: &str) -> Option<(Router, Box<dyn std::any::Any>)> {
    Some(match layer {
        "none" => (routes(), Box::new(())),
        "noop" | "noop-again" => (routes().layer(NoopLayer), Box::new(())),
        "latency" => {
            let (layer, handle) = LatencyLayer::builder().build();
            (routes().layer(layer), Box::new(handle))
        }
        // The memory layer's own subcommands go here beside it.
        "memory" => {
            let (layer, handle) = MemoryLayer::builder().build();
            (routes().layer(layer), Box::new(handle))
        }
        "hotpath" => {
            let guard = hotpath::HotpathGuardBuilder::new("layer-peers")
                .format(hotpath::Format::None)
                .build();
            (routes().layer(hotpath::AxumLayer::new()), Box::new(guard))
        }
        "axum-prometheus" => {
            // It wants a runtime to keep its histograms small; that one is never polled here.
            let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
            let inside = runtime.enter();
            let (layer, handle) = axum_prometheus::PrometheusMetricLayer::pair();
            drop(inside);
            (routes().layer(layer), Box::new((handle, runtime)))
        }
        "tower-http-trace" => (
            routes().layer(tower_http::trace::TraceLayer::new_for_http()),
            Box::new(()),
        ),
        "mutex-hdr" => (
            routes().layer(axum::middleware::from_fn_with_state(
                mutex_hdr::shared(),
                mutex_hdr::measure,
            )),
            Box::new(()),
        ),
        _ => return None,
    })
}

/// A request for the router.
pub(crate) fn routed(template: &Request<()>) -> Request<Body> {
    template.clone().map(|()| Body::empty())
}
