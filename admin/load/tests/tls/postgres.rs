//! PostgreSQL by TLS, against a server that knows the beginning of its protocol.

use std::sync::atomic::Ordering::Relaxed;

use pitcrew_load::{
    ErrorKind, Load, PlanError, PostgresMode, PostgresPlan, PostgresTarget, start_postgres,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{certificate, server};

/// SSLRequest (PostgreSQL's documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// AuthenticationOk, BackendKeyData, ReadyForQuery.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I";
/// CommandComplete `SELECT 1`, ReadyForQuery.
const DONE: &[u8] = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> std::io::Result<()> {
    let mut buffer = [0; 4_096];
    let _ = stream.read(&mut buffer).await?;
    stream.write_all(WELCOME).await?;
    loop {
        if stream.read(&mut buffer).await? == 0 || buffer[0] == b'X' {
            return Ok(());
        }
        stream.write_all(DONE).await?;
    }
}

/// What a server says to who wants TLS.
#[derive(Clone, Copy)]
enum Says {
    Yes,
    No,
    /// Yes to the first, who tries whether the target is there, and then what is no handshake.
    NonsenseLater,
}

async fn postgres(says: Says) -> (String, String, std::sync::Arc<std::sync::atomic::AtomicU64>) {
    let (pem, acceptor) = certificate("postgresql");
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (address, count) = server(move |mut stream: TcpStream| {
        let acceptor = acceptor.clone();
        let is_first = taken.fetch_add(1, Relaxed) == 0;
        async move {
            let mut request = [0; 8];
            if stream.read_exact(&mut request).await.is_err() || request != SSL_REQUEST {
                return;
            }
            let reply: &[u8] = match says {
                Says::Yes => b"S",
                Says::NonsenseLater if is_first => b"S",
                Says::NonsenseLater => b"Snonsense nonsense nonsense",
                Says::No => b"N",
            };
            if stream.write_all(reply).await.is_err() {
                return;
            }
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = answer(stream).await;
            }
        }
    })
    .await;
    (address, pem, count)
}

fn target(address: &str, pem: &str) -> PostgresTarget {
    let url = format!("postgres://u@{address}/db?sslmode=require");
    PostgresTarget::local_with_roots(&url, pem).expect("a target")
}

fn plan() -> PostgresPlan {
    PostgresPlan {
        mode: PostgresMode::Simple,
        load: Load {
            connections: Some(3),
            requests: Some(60),
            ..Load::default()
        },
        ..PostgresPlan::default()
    }
}

async fn refusal(target: &PostgresTarget) -> PlanError {
    let started = start_postgres("7", &plan(), target).await;
    started.expect_err("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_go_by_tls_where_it_is_required() {
    let (address, pem, count) = postgres(Says::Yes).await;
    let run = start_postgres("7", &plan(), &target(&address, &pem)).await;
    let run = run.expect("starts");
    let report = run.finished().await;
    assert_eq!((report.ok, report.requests), (60, 60), "{report:?}");
    // One more has tried whether the target is there.
    assert_eq!(count.load(Relaxed), report.connections.connected + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_trusted_is_refused_before_the_run() {
    let (address, _, _) = postgres(Says::Yes).await;
    let (stranger, _) = certificate("postgresql");
    let error = refusal(&target(&address, &stranger)).await;
    assert_eq!(error.field, "target");
    assert!(error.wants.contains("certificate"), "{error}");
    let (address, pem, _) = postgres(Says::No).await;
    let error = refusal(&target(&address, &pem)).await;
    assert!(error.wants.contains("does not support TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_fails_is_a_tls_error() {
    let (address, pem, _) = postgres(Says::NonsenseLater).await;
    let run = start_postgres("7", &plan(), &target(&address, &pem)).await;
    let run = run.expect("starts");
    let report = run.finished().await;
    assert_eq!(report.errors, [(ErrorKind::Tls, 60)].into(), "{report:?}");
    assert_eq!(report.connections.refused, 60);
}
