//! HTTP/2 against real servers on loopback, well-behaved and not.

#![cfg(feature = "http2")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pitcrew_load::{
    ErrorKind, HttpPlan, HttpVersion, Load, Open, Report, Spacing, Stage, Target, start,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A server whose connections are handled by `serve`, and how many it took.
async fn server<F, Fut>(serve: F) -> (Target, Arc<AtomicU64>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            tokio::spawn(serve(stream));
        }
    });
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    (target, count)
}

/// Answers nobody before so many requests are under way at once on one connection.
async fn together(stream: TcpStream, wanted: u64) {
    let gate = Arc::new(Semaphore::new(0));
    let count = Arc::new(AtomicU64::new(0));
    let service = service_fn(move |request: Request<Incoming>| {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        async move {
            assert_eq!(request.version(), Version::HTTP_2);
            assert!(request.headers().contains_key(pitcrew_load::RUN_HEADER));
            if count.fetch_add(1, Relaxed) + 1 == wanted {
                gate.close();
            }
            // Closed: everybody goes on.
            let _ = gate.acquire().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"0123456789"))))
        }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn plan(requests: u64) -> HttpPlan {
    HttpPlan {
        version: HttpVersion::Http2,
        load: Load {
            requests: Some(requests),
            connections: Some(1),
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
async fn streams_share_a_connection() {
    let (target, count) = server(|stream| together(stream, 8)).await;
    let plan = HttpPlan {
        streams: Some(8),
        ..plan(200)
    };
    let report = report(&plan, &target).await;
    assert_eq!((report.ok, report.requests), (200, 200), "{report:?}");
    assert_eq!(report.statuses, [(200, 200)].into());
    assert_eq!(report.body_bytes, 2_000);
    assert_eq!((count.load(Relaxed), report.connections.connected), (1, 1));
    assert_eq!(report.connections.dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_model_opens_streams_and_then_connections_as_it_needs_them() {
    let (target, count) = server(|stream| together(stream, 10)).await;
    let plan = HttpPlan {
        streams: Some(10),
        load: Load {
            requests: None,
            connections: Some(2),
            open: Some(Open {
                stages: vec![Stage {
                    duration_s: 0.1,
                    rate_per_s: 400.0,
                    to_rate_per_s: None,
                }],
                spacing: Spacing::Even,
                seed: 0,
            }),
            ..plan(1).load
        },
        ..plan(1)
    };
    let report = report(&plan, &target).await;
    assert_eq!(
        (report.due, report.ok, report.missed),
        (40, 40, 0),
        "{report:?}"
    );
    assert!((1..=2).contains(&count.load(Relaxed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_misbehaviour_has_its_own_column() {
    let (closes, _) = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4_096]).await;
    })
    .await;
    let (nonsense, _) = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        // The end is the client's.
        while stream
            .read(&mut [0; 4_096])
            .await
            .is_ok_and(|read| read > 0)
        {}
    })
    .await;
    let (silent, _) = server(|stream| together(stream, u64::MAX)).await;
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address");
        Target::resolve(&format!("http://{address}")).expect("resolves")
    };
    for (name, target, kind) in [
        ("closes", closes, ErrorKind::Reset),
        ("nonsense", nonsense, ErrorKind::Protocol),
        ("silent", silent, ErrorKind::Timeout),
        ("refused", refused, ErrorKind::Connect),
    ] {
        let plan = HttpPlan {
            load: Load {
                timeout_ms: if name == "silent" { 100 } else { 10_000 },
                ..plan(5).load
            },
            ..plan(5)
        };
        let report = report(&plan, &target).await;
        assert_eq!(report.errors, [(kind, 5)].into(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_cancelled_run_ends_although_its_target_hangs() {
    let (target, _) = server(|stream| together(stream, u64::MAX)).await;
    let plan = HttpPlan {
        streams: Some(4),
        load: Load {
            requests: None,
            duration_s: Some(600.0),
            timeout_ms: 60_000,
            ..plan(1).load
        },
        ..plan(1)
    };
    let run = start("7", &plan, &target).expect("starts");
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!(report.ok, 0);
}

#[test]
fn streams_that_cannot_be_are_refused_by_their_field() {
    for (field, wrong) in [
        (
            "streams",
            HttpPlan {
                streams: Some(0),
                ..plan(1)
            },
        ),
        (
            "streams",
            HttpPlan {
                streams: Some(257),
                ..plan(1)
            },
        ),
        (
            "streams",
            HttpPlan {
                streams: Some(17),
                load: Load {
                    connections: Some(1_024),
                    ..plan(1).load
                },
                ..plan(1)
            },
        ),
        (
            "streams",
            HttpPlan {
                streams: Some(2),
                version: HttpVersion::Http1,
                ..plan(1)
            },
        ),
        (
            "keep_alive",
            HttpPlan {
                keep_alive: false,
                ..plan(1)
            },
        ),
    ] {
        assert_eq!(wrong.check().expect_err(field).field, field);
    }
}

/// Answers so many requests on a connection, then says that it goes away and looks at no other, as nginx does (`keepalive_requests`). In
/// frames by hand (RFC 9113, 4.1): libraries look at what comes meanwhile.
async fn going_away(mut stream: TcpStream, wanted: u32, answered: &AtomicU64) {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GO_AWAY: u8 = 7;
    let frame = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
    };
    if stream.read_exact(&mut [0; PREFACE]).await.is_err() {
        return;
    }
    let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[])).await;
    let mut count = 0;
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match head[3] {
            // To be acknowledged.
            SETTINGS if head[4] == 0 => {
                let _ = stream.write_all(&frame(SETTINGS, 1, 0, &[])).await;
            }
            HEADERS if count < wanted => {
                count += 1;
                answered.fetch_add(1, Relaxed);
                // `:status: 200` of HPACK's static table, and the ends of headers and stream.
                let _ = stream.write_all(&frame(HEADERS, 0x5, id, &[0x88])).await;
                if count == wanted {
                    let last = [id.to_be_bytes(), [0; 4]].concat();
                    let _ = stream.write_all(&frame(GO_AWAY, 0, 0, &last)).await;
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_that_goes_away_in_peace_did_not_look_at_is_sent_again() {
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    let (target, connections) = server(|stream| going_away(stream, 10, &ANSWERED)).await;
    let plan = HttpPlan {
        streams: Some(8),
        ..plan(200)
    };
    let run = start("1", &plan, &target).expect("starts");
    let report = run.finished().await;
    assert_eq!((report.ok, &report.errors), (200, &[].into()), "{report:?}");
    assert_eq!(ANSWERED.load(Relaxed), 200, "none twice");
    assert!(connections.load(Relaxed) >= 20);
}
