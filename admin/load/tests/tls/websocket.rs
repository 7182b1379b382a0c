//! WebSocket by TLS.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::{SinkExt, StreamExt};
use pitcrew_load::{ErrorKind, Load, Report, Target, WebSocketPlan, start_websocket};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_websockets::ServerBuilder;

use crate::server::{certificate, secure};

async fn echo(stream: TlsStream<TcpStream>) {
    let Ok((_, mut socket)) = ServerBuilder::new().accept(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn report(target: &Target, requests: u64) -> Report {
    let plan = WebSocketPlan {
        idle: 5,
        load: Load {
            connections: Some(3),
            requests: Some(requests),
            ..Load::default()
        },
        ..WebSocketPlan::default()
    };
    let run = start_websocket("7", &plan, target).expect("starts");
    run.finished().await.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_back_by_tls() {
    let (address, pem, count) = secure("http/1.1", echo).await;
    let target = Target::resolve_with_roots(&format!("wss://{address}"), &pem).expect("a target");
    assert!(target.is_tls());
    let report = report(&target, 200).await;
    assert_eq!((report.ok, report.requests), (200, 200), "{report:?}");
    assert!((1..=8).contains(&count.load(Relaxed)));
    assert_eq!(report.connections.dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_root_is_not_known_is_a_tls_error() {
    let (address, _, _) = secure("http/1.1", echo).await;
    let (pem, _) = certificate("http/1.1");
    let target = Target::resolve_with_roots(&format!("wss://{address}"), &pem).expect("a target");
    let report = report(&target, 5).await;
    assert_eq!(report.errors, [(ErrorKind::Tls, 5)].into(), "{report:?}");
}
