//! HTTP/2 by TLS.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pitcrew_load::{ErrorKind, HttpPlan, HttpVersion, Load, Target, start};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::server::secure;

async fn answer(stream: TlsStream<TcpStream>) {
    let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    assert_eq!(protocol.as_deref(), Some(&b"h2"[..]));
    let service = service_fn(|request: Request<Incoming>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.uri().scheme_str(), Some("https"));
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"0123456789"))))
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn plan() -> HttpPlan {
    HttpPlan {
        version: HttpVersion::Http2,
        streams: Some(4),
        load: Load {
            connections: Some(1),
            requests: Some(200),
            ..Load::default()
        },
        ..HttpPlan::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_agreed_in_the_handshake() {
    let (address, pem, count) = secure("h2", answer).await;
    let target = Target::resolve_with_roots(&format!("https://{address}"), &pem).expect("a target");
    let run = start("7", &plan(), &target).expect("starts");
    let report = run.finished().await;
    assert_eq!((report.ok, report.requests), (200, 200), "{report:?}");
    assert_eq!(report.body_bytes, 2_000);
    assert_eq!((count.load(Relaxed), report.connections.connected), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_another_protocol_alone_is_a_tls_error() {
    let (address, pem, _) = secure("http/1.1", answer).await;
    let target = Target::resolve_with_roots(&format!("https://{address}"), &pem).expect("a target");
    let plan = HttpPlan {
        load: Load {
            requests: Some(5),
            ..plan().load
        },
        ..plan()
    };
    let run = start("7", &plan, &target).expect("starts");
    let report = run.finished().await;
    assert_eq!(report.errors, [(ErrorKind::Tls, 5)].into(), "{report:?}");
}
