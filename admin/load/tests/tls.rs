//! TLS and connections that are made anew, against real servers on loopback.

#![cfg(feature = "tls")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pitcrew_load::{ErrorKind, HttpPlan, Report, Target, TargetError, start};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

/// An authority as PEM, and a server's side with a certificate of its for 127.0.0.1.
fn certificate() -> (String, TlsAcceptor) {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let authority = parameters.self_signed(&authority_key).expect("signed");
    let issuer = rcgen::Issuer::new(parameters, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = parameters.signed_by(&key, &issuer).expect("signed");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a pair");
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    (listener, address.to_string())
}

/// A server whose connections are handled by `serve`, and how many it took.
async fn server<F, Fut>(serve: F) -> (String, Arc<AtomicU64>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            tokio::spawn(serve(stream));
        }
    });
    (address, count)
}

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

/// A server that speaks TLS.
async fn secure() -> (String, String, Arc<AtomicU64>) {
    let (pem, acceptor) = certificate();
    let (address, count) = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream).await;
            }
        }
    })
    .await;
    (address, pem, count)
}

fn plan(requests: u64) -> HttpPlan {
    HttpPlan {
        requests: Some(requests),
        connections: Some(4),
        ..HttpPlan::default()
    }
}

async fn report(plan: &HttpPlan, target: &Target) -> Report {
    let run = start("7", plan, target).expect("starts");
    run.finished().await.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_root_is_known_is_spoken_to_by_tls() {
    let (address, pem, count) = secure().await;
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
    let (address, _, _) = secure().await;
    // Not the one that the server shows.
    let (pem, _) = certificate();
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
    let (pem, _) = certificate();
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
