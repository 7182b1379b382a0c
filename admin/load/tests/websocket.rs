//! Runs against WebSocket servers on loopback, well-behaved and not.

#![cfg(feature = "websocket")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::{SinkExt, StreamExt};
use pitcrew_load::{
    ErrorKind, Open, Reply, Report, Spacing, Stage, Target, WebSocketMessage, WebSocketPlan,
    start_websocket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_websockets::{CloseCode, Message, ServerBuilder};

/// What a server does with a message.
#[derive(Clone, Copy, Debug)]
enum Temper {
    /// Sends it back.
    Echo,
    /// Says something else first, and asks for a pong.
    Chatty,
    /// Says nothing.
    Silent,
    /// Answers with something else.
    Wrong,
    /// Closes with this code.
    Closes(u16),
    /// Sends it back, then closes with this code.
    ClosesAfterwards(u16),
    /// Ends the connection without a word.
    Leaves,
    /// Sends what is no frame.
    Nonsense,
    /// Answers the handshake with this status.
    Status(u16),
    /// Answers the handshake with what is no HTTP.
    NoHttp,
    /// Ends the connection within the handshake.
    NoHandshake,
}

/// A server, the connections it took and the pongs it got.
struct Server {
    target: Target,
    connections: Arc<AtomicU64>,
    pongs: Arc<AtomicU64>,
}

async fn serve(mut stream: TcpStream, temper: Temper, pongs: &AtomicU64) -> Option<()> {
    let before = match temper {
        Temper::Status(status) => {
            Some(format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"))
        }
        Temper::NoHttp => Some("SSH-2.0-nonsense\r\n\r\n".to_owned()),
        Temper::NoHandshake => Some(String::new()),
        _ => None,
    };
    if let Some(before) = before {
        let _ = stream.read(&mut [0; 4_096]).await;
        return stream.write_all(before.as_bytes()).await.ok();
    }
    let (request, mut socket) = ServerBuilder::new().accept(stream).await.ok()?;
    assert!(request.headers().contains_key(pitcrew_load::RUN_HEADER));
    while let Some(Ok(message)) = socket.next().await {
        if message.is_pong() {
            pongs.fetch_add(1, Relaxed);
        }
        if !message.is_text() && !message.is_binary() {
            continue;
        }
        let close = |code: u16| Message::close(CloseCode::try_from(code).ok(), "");
        match temper {
            Temper::Chatty => {
                socket.send(Message::ping("there?")).await.ok()?;
                socket.send(Message::text("news")).await.ok()?;
                socket.send(message).await.ok()?;
            }
            Temper::Silent => {}
            Temper::Wrong => socket.send(Message::text("no")).await.ok()?,
            Temper::Closes(code) => {
                socket.send(close(code)).await.ok()?;
            }
            Temper::ClosesAfterwards(code) => {
                socket.send(message).await.ok()?;
                socket.send(close(code)).await.ok()?;
            }
            Temper::Leaves => return None,
            Temper::Nonsense => socket.get_mut().write_all(&[0xff; 16]).await.ok()?,
            _ => socket.send(message).await.ok()?,
        }
    }
    Some(())
}

async fn server(temper: Temper) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let server = Server {
        target: Target::resolve(&format!("ws://{address}")).expect("resolves"),
        connections: Arc::default(),
        pongs: Arc::default(),
    };
    let (connections, pongs) = (Arc::clone(&server.connections), Arc::clone(&server.pongs));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Relaxed);
            let pongs = Arc::clone(&pongs);
            tokio::spawn(async move { serve(stream, temper, &pongs).await });
        }
    });
    server
}

fn plan(requests: u64) -> WebSocketPlan {
    WebSocketPlan {
        connections: Some(4),
        requests: Some(requests),
        timeout_ms: 100,
        ..WebSocketPlan::default()
    }
}

async fn report(plan: &WebSocketPlan, target: &Target) -> Report {
    let run = start_websocket("7", plan, target).expect("starts");
    run.finished().await.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_has_its_reply() {
    let server = server(Temper::Echo).await;
    for message in [
        WebSocketMessage::Text("hello".to_owned()),
        WebSocketMessage::Hex("00ff00ff00".to_owned()),
        WebSocketMessage::Text("x".repeat(100_000)),
    ] {
        let length = match &message {
            WebSocketMessage::Text(text) => text.len() as u64,
            _ => 5,
        };
        let plan = WebSocketPlan {
            message,
            timeout_ms: 10_000,
            ..plan(203)
        };
        let report = report(&plan, &server.target).await;
        assert_eq!((report.ok, report.requests), (203, 203), "{report:?}");
        assert_eq!(report.body_bytes, 203 * length);
        // One thread may have sent all before the other began.
        assert!((1..=4).contains(&report.connections.connected));
        assert_eq!(report.connections.dropped, 0);
        assert!(report.connections.close_codes.is_empty());
        assert!(report.connections.connected_s > 0.0 && report.response.min_ms > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_misbehaviour_has_its_own_column() {
    for (temper, kind, code) in [
        (Temper::Silent, ErrorKind::Timeout, None),
        (Temper::Wrong, ErrorKind::Check, None),
        (Temper::Closes(1_001), ErrorKind::Reset, Some(1_001)),
        (Temper::Closes(4_000), ErrorKind::Reset, Some(4_000)),
        (Temper::Leaves, ErrorKind::Reset, Some(1_006)),
        (Temper::Nonsense, ErrorKind::Protocol, None),
        (Temper::Status(503), ErrorKind::Status, None),
        (Temper::Status(200), ErrorKind::Protocol, None),
        (Temper::NoHttp, ErrorKind::Protocol, None),
        (Temper::NoHandshake, ErrorKind::Reset, None),
    ] {
        let server = server(temper).await;
        let report = report(&plan(20), &server.target).await;
        assert_eq!(report.errors, [(kind, 20)].into(), "{temper:?}");
        assert_eq!((report.ok, report.failed.count), (0, 20), "{temper:?}");
        let details = &report.connections;
        let codes = code.map(|code| (code, 20)).into_iter().collect();
        assert_eq!(details.close_codes, codes, "{temper:?}");
        let (connected, dropped, refused) = match temper {
            // A wrong reply leaves the connection as it was.
            Temper::Wrong => (details.connected.clamp(1, 4), 0, 0),
            Temper::Status(_) | Temper::NoHttp | Temper::NoHandshake => (0, 0, 20),
            _ => (20, 20, 0),
        };
        assert_eq!(
            (details.connected, details.dropped, details.refused),
            (connected, dropped, refused),
            "{temper:?}"
        );
        let statuses = match temper {
            Temper::Status(503) => [(503, 20)].into(),
            _ => std::collections::BTreeMap::new(),
        };
        assert_eq!(report.statuses, statuses);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_takes_no_connection_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let target = Target::resolve(&format!("ws://{address}")).expect("resolves");
    let report = report(&plan(5), &target).await;
    assert_eq!(report.errors, [(ErrorKind::Connect, 5)].into());
    assert_eq!(report.connections.refused, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_can_be_told_from_what_else_is_said() {
    let server = server(Temper::Chatty).await;
    let plan = WebSocketPlan {
        message: WebSocketMessage::Text("order 7".to_owned()),
        reply: Reply::Contains("der 7".to_owned()),
        timeout_ms: 10_000,
        ..plan(50)
    };
    let contained = report(&plan, &server.target).await;
    assert_eq!(
        (contained.ok, contained.requests),
        (50, 50),
        "{contained:?}"
    );
    // Each ping but the last of a connection was answered before the message after it.
    assert!(server.pongs.load(Relaxed) >= 46);
    let any = WebSocketPlan {
        reply: Reply::Any,
        ..plan.clone()
    };
    assert_eq!(report(&any, &server.target).await.ok, 50);
    let echo = WebSocketPlan {
        reply: Reply::Echo,
        ..plan
    };
    assert!(report(&echo, &server.target).await.errors[&ErrorKind::Check] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_while_nobody_speaks_is_made_anew() {
    let server = server(Temper::ClosesAfterwards(1_012)).await;
    // One message at a time, each of them due long after the close of the one before.
    let plan = WebSocketPlan {
        connections: Some(1),
        requests: None,
        open: Some(Open {
            stages: vec![Stage {
                duration_s: 1.0,
                rate_per_s: 5.0,
                to_rate_per_s: None,
            }],
            spacing: Spacing::Even,
            seed: 0,
        }),
        timeout_ms: 10_000,
        ..plan(1)
    };
    let report = report(&plan, &server.target).await;
    let resets = report.errors.get(&ErrorKind::Reset).copied().unwrap_or(0);
    assert_eq!((report.due, report.ok + resets), (5, 5), "{report:?}");
    assert_eq!(report.connections.connected, 5, "{report:?}");
    assert_eq!(
        report.connections.close_codes,
        [(1_012, report.connections.dropped)].into()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_held_no_longer_than_the_plan_says() {
    let server = server(Temper::Echo).await;
    let plan = WebSocketPlan {
        hold_s: Some(1e-9),
        timeout_ms: 10_000,
        ..plan(40)
    };
    let report = report(&plan, &server.target).await;
    assert_eq!(report.ok, 40, "{report:?}");
    assert_eq!(report.connections.connected, 40);
    assert_eq!(server.connections.load(Relaxed), 40);
    // That is no drop: the tester closed them.
    assert_eq!(report.connections.dropped, 0);
    assert!(report.connections.close_codes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_held_beside_the_load() {
    let server = server(Temper::Echo).await;
    let plan = WebSocketPlan {
        idle: 100,
        requests: None,
        duration_s: Some(600.0),
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
        connections: Some(1),
        timeout_ms: 60_000,
        requests: None,
        duration_s: Some(600.0),
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

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_cancelled_run_ends_although_its_target_hangs() {
    let server = server(Temper::Silent).await;
    let plan = WebSocketPlan {
        requests: None,
        duration_s: Some(600.0),
        timeout_ms: 60_000,
        ..plan(1)
    };
    let run = start_websocket("7", &plan, &server.target).expect("starts");
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!(report.ok, 0);
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
