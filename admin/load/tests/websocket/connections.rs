//! Connections that are made, closed and made anew.

use std::sync::atomic::Ordering::Relaxed;

use pitcrew_load::{ErrorKind, Load, Open, Spacing, Stage, Target, WebSocketPlan, start_websocket};
use tokio::net::TcpListener;

use crate::server::{Temper, plan, report, server};

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
async fn a_connection_that_is_closed_while_nobody_speaks_is_made_anew() {
    let server = server(Temper::ClosesAfterwards(1_012)).await;
    // One message at a time, each of them due long after the close of the one before.
    let plan = WebSocketPlan {
        load: Load {
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
            ..plan(1).load
        },
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
        load: Load {
            timeout_ms: 10_000,
            ..plan(40).load
        },
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
async fn l3_a_cancelled_run_ends_although_its_target_hangs() {
    let server = server(Temper::Silent).await;
    let plan = WebSocketPlan {
        load: Load {
            requests: None,
            duration_s: Some(600.0),
            timeout_ms: 60_000,
            ..plan(1).load
        },
        ..plan(1)
    };
    let run = start_websocket("7", &plan, &server.target).expect("starts");
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!(report.ok, 0);
}
