//! Connections that are held without a message.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::{SinkExt, StreamExt};
use pitcrew_load::{Load, Target, WebSocketPlan, start_websocket};
use tokio::net::TcpListener;
use tokio_websockets::{CloseCode, Message, ServerBuilder};

use crate::server::{Temper, plan, server};

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_held_beside_the_load() {
    let server = server(Temper::Echo).await;
    let plan = WebSocketPlan {
        idle: 100,
        load: Load {
            requests: None,
            duration_s: Some(600.0),
            ..plan(1).load
        },
        ..plan(1)
    };
    let run = start_websocket("7", &plan, &server.target).expect("starts");
    while server.connections.load(Relaxed) < 104 {
        tokio::task::yield_now().await;
    }
    run.cancel();
    let report = run.finished().await;
    // The last of them may have been under way.
    assert!(
        (103..=104).contains(&report.connections.connected),
        "{report:?}"
    );
    assert_eq!(report.connections.dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_is_lost_is_counted_and_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let target = Target::resolve(&format!("ws://{address}")).expect("resolves");
    let plan = WebSocketPlan {
        idle: 1,
        load: Load {
            connections: Some(1),
            timeout_ms: 60_000,
            requests: None,
            duration_s: Some(600.0),
            ..plan(1).load
        },
        ..plan(1)
    };
    let run = start_websocket("7", &plan, &target).expect("starts");
    // Each connection is closed at once, so whoever comes again is the idle one or the one that sends.
    for _ in 0..20 {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (_, mut socket) = ServerBuilder::new()
            .accept(stream)
            .await
            .expect("a handshake");
        let close = Message::close(Some(CloseCode::GOING_AWAY), "");
        let _ = socket.send(close).await;
        // Read to its end: a socket that is dropped with something unread may take the close frame with it.
        tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    }
    run.cancel();
    let report = run.finished().await;
    let details = &report.connections;
    assert!((18..=20).contains(&details.dropped), "{report:?}");
    assert_eq!(details.close_codes[&1_001], details.dropped);
}

#[test]
fn more_connections_than_this_process_may_open_are_refused() {
    let target = Target::resolve("ws://127.0.0.1:1").expect("resolves");
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: fills the struct.
    assert_eq!(
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) },
        0
    );
    let plan = WebSocketPlan {
        idle: 10_000,
        ..plan(1)
    };
    let started = start_websocket("7", &plan, &target);
    if limit.rlim_cur < 10_000 {
        let error = started.expect_err("refused");
        assert_eq!(error.field, "idle", "{error}");
        assert!(error.wants.contains("ulimit"), "{error}");
    } else {
        started.expect("starts").cancel();
    }
}
