//! Runs against servers that misbehave on demand. What a real one does: `tests/end-to-end/tests/load_postgres.rs`.

#![cfg(feature = "postgres")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pitcrew_load::{
    ErrorKind, Load, PostgresMode, PostgresPlan, PostgresTarget, Report, start_postgres,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// AuthenticationOk, BackendKeyData, ReadyForQuery.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I";
/// CommandComplete `SELECT 1`, ReadyForQuery.
const DONE: &[u8] = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";

/// What a server does with a query after its welcome.
#[derive(Clone, Copy, Debug)]
enum Temper {
    /// Answers it.
    Good,
    /// Says nothing.
    Silent,
    /// Ends the connection.
    Closes,
    /// Ends the connection within the answer.
    ClosesInTheMiddle,
    /// Sends what is no message of the protocol.
    Nonsense,
    /// Answers with an error that has this SQLSTATE.
    Error(&'static str),
    /// Says that the session is ended, and ends it.
    Terminates,
    /// Answers each query, then ends the session while nobody speaks.
    TerminatesAfterwards,
}

fn error(severity: &str, code: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{code}\0Mas asked\0\0");
    let length = u32::try_from(fields.len() + 4).expect("short");
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

async fn serve(mut stream: TcpStream, temper: Temper) -> std::io::Result<()> {
    // The startup message, then one query at a time.
    let mut buffer = [0; 4_096];
    if stream.read(&mut buffer).await? == 0 {
        return Ok(());
    }
    stream.write_all(WELCOME).await?;
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 || buffer[0] == b'X' {
            return Ok(());
        }
        match temper {
            Temper::Good => stream.write_all(DONE).await?,
            Temper::Silent => std::future::pending().await,
            Temper::Closes => return Ok(()),
            Temper::ClosesInTheMiddle => return stream.write_all(&DONE[..7]).await,
            Temper::Nonsense => {
                stream.write_all(b"\x07\0\0\0\x08nonZ\0\0\0\x05I").await?;
            }
            Temper::Error(code) => {
                let answer = [&error("ERROR", code)[..], b"Z\0\0\0\x05I"].concat();
                stream.write_all(&answer).await?;
            }
            Temper::Terminates => return stream.write_all(&error("FATAL", "57P01")).await,
            Temper::TerminatesAfterwards => {
                // In one write, so that no query is on its way when the end comes.
                let answer = [DONE, &error("FATAL", "57P01")].concat();
                return stream.write_all(&answer).await;
            }
        }
    }
}

/// The server, and how many connections it took.
async fn server(temper: Temper) -> (PostgresTarget, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("address").port();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            tokio::spawn(serve(stream, temper));
        }
    });
    let target = PostgresTarget::local(&format!("postgres://u@127.0.0.1:{port}/db"));
    (target.expect("an address"), count)
}

/// The simple protocol is what the servers here understand.
fn plan(requests: u64) -> PostgresPlan {
    PostgresPlan {
        mode: PostgresMode::Simple,
        load: Load {
            connections: Some(4),
            requests: Some(requests),
            timeout_ms: 100,
            ..Load::default()
        },
        ..PostgresPlan::default()
    }
}

async fn report(temper: Temper, plan: &PostgresPlan) -> Report {
    let (target, _) = server(temper).await;
    let run = start_postgres("7", plan, &target).await.expect("starts");
    run.finished().await.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_misbehaviour_has_its_own_column() {
    for (temper, kind) in [
        (Temper::Silent, ErrorKind::Timeout),
        (Temper::Closes, ErrorKind::Reset),
        (Temper::ClosesInTheMiddle, ErrorKind::Reset),
        (Temper::Nonsense, ErrorKind::Protocol),
        (Temper::Error("40001"), ErrorKind::Sql),
        (Temper::Terminates, ErrorKind::Reset),
        // Cancelled by somebody, before the time was over.
        (Temper::Error("57014"), ErrorKind::Sql),
    ] {
        let report = report(temper, &plan(20)).await;
        assert_eq!(report.errors, [(kind, 20)].into(), "{temper:?}");
        assert_eq!((report.ok, report.failed.count), (0, 20), "{temper:?}");
        // Only an error that is an answer leaves the connection as it was.
        let dropped = if kind == ErrorKind::Sql { 0 } else { 20 };
        assert_eq!(report.connections.dropped, dropped, "{temper:?}");
        let states = match temper {
            Temper::Error(code) => [(code.to_owned(), 20)].into(),
            Temper::Terminates => [("57P01".to_owned(), 20)].into(),
            _ => std::collections::BTreeMap::new(),
        };
        assert_eq!(report.connections.sql_states, states, "{temper:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_is_asked_as_often_as_the_plan_says() {
    let report = report(Temper::Good, &plan(1_003)).await;
    assert_eq!((report.ok, report.requests), (1_003, 1_003), "{report:?}");
    assert!(report.statuses.is_empty());
    // One thread may have sent all before the other began.
    assert!((1..=4).contains(&report.connections.connected));
    assert_eq!(report.connections.dropped, 0);
    assert!(report.connections.connected_s > 0.0);
    assert!(report.response.min_ms > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_ended_while_nobody_spoke_is_no_error() {
    let plan = PostgresPlan {
        load: Load {
            connections: Some(1),
            ..plan(20).load
        },
        ..plan(20)
    };
    let report = report(Temper::TerminatesAfterwards, &plan).await;
    assert_eq!(report.ok, 20, "{report:?}");
    assert!(report.errors.is_empty(), "{report:?}");
    // The end of the last one may not have been seen.
    let details = &report.connections;
    assert!((19..=20).contains(&details.dropped), "{report:?}");
    assert_eq!(details.sql_states["57P01"], details.dropped, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_can_be_the_load() {
    let (target, count) = server(Temper::Good).await;
    let plan = PostgresPlan {
        keep_alive: false,
        ..plan(50)
    };
    let run = start_postgres("7", &plan, &target).await.expect("starts");
    let report = run.finished().await;
    assert_eq!((report.ok, report.connections.connected), (50, 50));
    assert_eq!(report.connections.dropped, 0);
    // One more: before the run the server was tried.
    assert_eq!(count.load(Relaxed), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_takes_no_session_is_refused_before_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("address").port();
    let text = format!("postgres://u@127.0.0.1:{port}/db");
    let target = PostgresTarget::local(&text).expect("an address");
    // It takes connections and says nothing.
    let error = start_postgres("7", &plan(1), &target)
        .await
        .expect_err("refused");
    assert_eq!(error.field, "target", "{error}");
    drop(listener);
    let error = start_postgres("7", &plan(1), &target)
        .await
        .expect_err("refused");
    assert_eq!(error.field, "target", "{error}");
    assert!(error.wants.contains("cannot connect"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("address").port();
    let text = format!("postgres://u@127.0.0.1:{port}/db");
    let target = PostgresTarget::local(&text).expect("an address");
    tokio::spawn(async move {
        // The one that tries the server out is let in; then nobody listens any more.
        let (stream, _) = listener.accept().await.expect("a connection");
        drop(listener);
        let _ = serve(stream, Temper::Good).await;
    });
    let run = start_postgres("7", &plan(5), &target)
        .await
        .expect("starts");
    let report = run.finished().await;
    assert_eq!(
        report.errors,
        [(ErrorKind::Connect, 5)].into(),
        "{report:?}"
    );
    assert_eq!(report.connections.connected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_cancelled_run_ends_although_its_server_hangs() {
    let (target, _) = server(Temper::Silent).await;
    let plan = PostgresPlan {
        load: Load {
            requests: None,
            duration_s: Some(600.0),
            timeout_ms: 60_000,
            ..plan(1).load
        },
        ..plan(1)
    };
    let run = start_postgres("7", &plan, &target).await.expect("starts");
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!((report.ok, report.connections.dropped), (0, 0));
}
