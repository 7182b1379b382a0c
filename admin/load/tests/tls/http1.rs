//! HTTP/1.1 by TLS, and connections that are made anew.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pitcrew_load::{ErrorKind, HttpPlan, Load, Report, Target, TargetError, start};
use tokio::io::AsyncWriteExt;

use crate::server::{certificate, secure, server};

async fn answer<S>(stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"0123456789"))))
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn plan(requests: u64) -> HttpPlan {
    HttpPlan {
        load: Load {
            requests: Some(requests),
            connections: Some(4),
            ..Load::default()
        },
        ..HttpPlan::default()
    }
}

async fn report(plan: &HttpPlan, target: &Target) -> Report {
    let run = start("7", plan, target).expect("starts");
    run.finished().await.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_root_is_known_is_spoken_to_by_tls() {
    let (address, pem, count) = secure("http/1.1", answer).await;
    let target = Target::resolve_with_roots(&format!("https://{address}"), &pem).expect("a target");
    assert!(target.is_tls());
    let report = report(&plan(203), &target).await;
    assert_eq!((report.ok, report.requests), (203, 203), "{report:?}");
    assert_eq!(report.body_bytes, 2_030);
    assert_eq!(report.connections.connected, count.load(Relaxed));
    assert!((1..=4).contains(&count.load(Relaxed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_handshake_is_a_tls_error() {
    let (address, _, _) = secure("http/1.1", answer).await;
    // Not the one that the server shows.
    let (pem, _) = certificate("http/1.1");
    let stranger = Target::resolve_with_roots(&format!("https://{address}"), &pem);
    let (in_clear, _) = server(answer).await;
    let (nonsense, _) = server(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").await;
    })
    .await;
    let (closes, _) = server(|stream| async move { drop(stream) }).await;
    let resolve = |address: &str| Target::resolve_with_roots(&format!("https://{address}"), &pem);
    for (name, target) in [
        ("another root", stranger),
        ("in clear", resolve(&in_clear)),
        ("nonsense", resolve(&nonsense)),
        ("closes", resolve(&closes)),
    ] {
        let report = report(&plan(10), &target.expect("a target")).await;
        assert_eq!(report.errors, [(ErrorKind::Tls, 10)].into(), "{name}");
        assert_eq!(report.connections.refused, 10, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let (address, _) = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let (pem, _) = certificate("http/1.1");
    let target = Target::resolve_with_roots(&format!("https://{address}"), &pem).expect("a target");
    let report = report(&plan(2), &target).await;
    assert_eq!(report.errors, [(ErrorKind::Connect, 2)].into());
}

#[test]
fn roots_that_are_none_are_refused() {
    for roots in [
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = Target::resolve_with_roots("https://127.0.0.1:1", roots).expect_err("refused");
        assert!(matches!(error, TargetError::Roots(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_made_anew_where_the_plan_says_so() {
    let (address, count) = server(answer).await;
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    let plan = HttpPlan {
        keep_alive: false,
        ..plan(60)
    };
    let report = report(&plan, &target).await;
    assert_eq!((report.ok, count.load(Relaxed)), (60, 60), "{report:?}");
    assert_eq!(
        (report.connections.connected, report.connections.dropped),
        (60, 0)
    );
}
