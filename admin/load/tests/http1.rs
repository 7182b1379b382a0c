//! HTTP/1.1 against servers that say each byte by hand.

use std::sync::Arc;

use pitcrew_load::{ErrorKind, HttpPlan, Load, Report, RunName, Target, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A server that answers each request on a connection with these bytes, and the requests that it got.
async fn saying(answer: &'static str, ends: bool) -> (Target, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer, ends, Arc::clone(&heard)));
        }
    });
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    (target, requests)
}

async fn serve(
    mut stream: TcpStream,
    answer: &'static str,
    ends: bool,
    heard: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).await.ok()?;
        if read == 0 {
            return None;
        }
        request.extend_from_slice(&buffer[..read]);
        if is_whole(&request) {
            heard
                .lock()
                .await
                .push(String::from_utf8(std::mem::take(&mut request)).expect("text"));
            stream.write_all(answer.as_bytes()).await.ok()?;
            if ends {
                return None;
            }
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn plan(requests: u64) -> HttpPlan {
    HttpPlan {
        load: Load {
            connections: Some(2),
            requests: Some(requests),
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
async fn answers_of_each_form_are_read_to_their_end() {
    for (answer, ends, status, bytes) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            false,
            200,
            5,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            false,
            200,
            6,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", false, 204, 0),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!",
            false,
            200,
            1,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true, 200, 13),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
            true,
            200,
            2,
        ),
    ] {
        let (target, requests) = saying(answer, ends).await;
        let report = report(&plan(30), &target).await;
        assert_eq!((report.ok, report.requests), (30, 30), "{answer}");
        assert_eq!(report.statuses, [(status, 30)].into(), "{answer}");
        assert_eq!(report.body_bytes, 30 * bytes, "{answer}");
        assert_eq!(requests.lock().await.len(), 30, "{answer}");
        let details = &report.connections;
        if ends {
            assert_eq!((details.connected, details.dropped), (30, 30), "{answer}");
        } else {
            assert!((1..=2).contains(&details.connected), "{answer}");
            assert_eq!(details.dropped, 0, "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_has_its_kind() {
    for (answer, ends, kind) in [
        ("HTTP/1.1 200 OK\r\ncontent-le", true, ErrorKind::Reset),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
            true,
            ErrorKind::Reset,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            true,
            ErrorKind::Reset,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
            false,
            ErrorKind::Timeout,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            false,
            ErrorKind::Protocol,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense",
            false,
            ErrorKind::Protocol,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n", false, ErrorKind::Timeout),
    ] {
        let (target, _) = saying(answer, ends).await;
        let plan = HttpPlan {
            load: Load {
                timeout_ms: if kind == ErrorKind::Timeout {
                    50
                } else {
                    10_000
                },
                ..plan(10).load
            },
            ..plan(10)
        };
        let report = report(&plan, &target).await;
        assert_eq!(report.errors, [(kind, 10)].into(), "{answer}");
        let details = &report.connections;
        assert_eq!((details.connected, details.dropped), (10, 10), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_behind_an_answer_is_no_answer_to_the_next_request() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
    let (target, requests) = saying(answer, false).await;
    let report = report(&plan(20), &target).await;
    assert_eq!(report.statuses, [(200, 20)].into());
    assert_eq!(report.connections.connected, 20);
    assert_eq!(requests.lock().await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_request_was_read_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
            let _ = stream.read(&mut [0; 1_024]).await;
            let _ = stream.write_all(answer).await;
            // Nothing more is read, and nothing is closed that may take the answer with it.
            kept.push(stream);
        }
    });
    let plan = HttpPlan {
        method: "POST".to_owned(),
        body: Some("x".repeat(1 << 20)),
        ..plan(1)
    };
    let report = report(&plan, &target).await;
    assert_eq!(report.statuses, [(413, 1)].into(), "{report:?}");
    assert_eq!(report.errors, [(ErrorKind::Status, 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_what_the_plan_says() {
    let (target, requests) = saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let authority = target.authority().to_owned();
    let with = HttpPlan {
        method: "PUT".to_owned(),
        path: "/a%20b?c=d".to_owned(),
        headers: [("X-Colour".to_owned(), "r\u{e9}d".to_owned())].into(),
        body: Some("four".to_owned()),
        ..plan(1)
    };
    let without = HttpPlan {
        method: "POST".to_owned(),
        ..plan(1)
    };
    let name = RunName::new("7");
    let mark = name.mark();
    for (plan, expected) in [
        (
            plan(1),
            format!("GET / HTTP/1.1\r\nhost: {authority}\r\nx-pitcrew-load-run: {mark}\r\n\r\n"),
        ),
        (
            with,
            format!(
                "PUT /a%20b?c=d HTTP/1.1\r\nhost: {authority}\r\nx-colour: r\u{e9}d\r\nx-pitcrew-load-run: {mark}\r\n\
                 content-length: 4\r\n\r\nfour"
            ),
        ),
        (
            without,
            format!(
                "POST / HTTP/1.1\r\nhost: {authority}\r\nx-pitcrew-load-run: {mark}\r\ncontent-length: 0\r\n\r\n"
            ),
        ),
    ] {
        let run = start(name.clone(), &plan, &target).expect("a plan");
        assert_eq!(run.finished().await.ok, 1);
        assert_eq!(requests.lock().await.pop(), Some(expected));
    }
    let head = HttpPlan {
        method: "HEAD".to_owned(),
        ..plan(20)
    };
    let (target, _) = saying("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n", false).await;
    let report = report(&head, &target).await;
    assert_eq!((report.ok, report.body_bytes), (20, 0), "{report:?}");
}
