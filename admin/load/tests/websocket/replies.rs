//! Messages and their replies.

use std::sync::atomic::Ordering::Relaxed;

use pitcrew_load::{ErrorKind, Load, Reply, WebSocketMessage, WebSocketPlan};

use crate::server::{Temper, plan, report, server};

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
            load: Load {
                timeout_ms: 10_000,
                ..plan(203).load
            },
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
async fn a_reply_can_be_told_from_what_else_is_said() {
    let server = server(Temper::Chatty).await;
    let plan = WebSocketPlan {
        message: WebSocketMessage::Text("order 7".to_owned()),
        reply: Reply::Contains("der 7".to_owned()),
        load: Load {
            timeout_ms: 10_000,
            ..plan(50).load
        },
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
