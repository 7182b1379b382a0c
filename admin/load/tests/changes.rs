//! What is changed about a run while it is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pitcrew_load::{HttpPlan, Load, Open, Run, Spacing, Stage, Target, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A server that answers as many requests as it is let, and how many are waiting.
struct Server {
    target: Target,
    waiting: Arc<AtomicU64>,
    answers: Arc<Semaphore>,
}

async fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let server = Server {
        target: Target::resolve(&format!("http://{address}")).expect("resolves"),
        waiting: Arc::default(),
        answers: Arc::new(Semaphore::new(0)),
    };
    let (waiting, answers) = (Arc::clone(&server.waiting), Arc::clone(&server.answers));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (waiting, answers) = (Arc::clone(&waiting), Arc::clone(&answers));
            tokio::spawn(async move {
                // A request comes in one piece.
                while stream
                    .read(&mut [0; 4_096])
                    .await
                    .is_ok_and(|read| read > 0)
                {
                    waiting.fetch_add(1, Relaxed);
                    let Ok(answer) = answers.acquire().await else {
                        return;
                    };
                    answer.forget();
                    waiting.fetch_sub(1, Relaxed);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    server
}

impl Server {
    /// Lets one request after the other go until so many wait at once, and none else comes.
    async fn settles_at(&self, wanted: u64, run: &Run) {
        loop {
            let before = run.progress().finished;
            if self.waiting.load(Relaxed) > wanted {
                self.answers.add_permits(1);
            }
            while self.waiting.load(Relaxed) < wanted {
                tokio::task::yield_now().await;
            }
            // A hand-in later, what was answered has come in, and what would follow it is there.
            while run.progress().finished == before && self.waiting.load(Relaxed) > wanted {
                tokio::task::yield_now().await;
            }
            if self.waiting.load(Relaxed) == wanted {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_users_send_as_are_asked_for() {
    let server = server().await;
    let plan = HttpPlan {
        load: Load {
            connections: Some(7),
            duration_s: Some(600.0),
            timeout_ms: 60_000,
            ..Load::default()
        },
        ..HttpPlan::default()
    };
    let run = start("7", &plan, &server.target).expect("starts");
    for users in [7, 3, 1, 5, 7] {
        run.set_users(users).expect("in its range");
        server.settles_at(u64::from(users), &run).await;
    }
    for wrong in [0, 8] {
        assert_eq!(run.set_users(wrong).expect_err("refused").field, "users");
    }
    let error = run.set_rate(5.0).expect_err("refused");
    assert_eq!(error.field, "rate_per_s");
    run.cancel();
    let report = run.finished().await;
    assert_eq!(report.connections.connected, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_run_goes_on_at_the_rate_that_is_asked_for() {
    let server = server().await;
    server.answers.add_permits(1_000_000);
    let plan = HttpPlan {
        load: Load {
            open: Some(Open {
                stages: vec![Stage {
                    duration_s: 2.0,
                    // One at once, and the next one after a second: by then the run has heard.
                    rate_per_s: 1.0,
                    to_rate_per_s: None,
                }],
                spacing: Spacing::Even,
                seed: 0,
            }),
            ..Load::default()
        },
        ..HttpPlan::default()
    };
    let run = start("7", &plan, &server.target).expect("starts");
    run.set_rate(1_000.0).expect("in its range");
    let report = run.finished().await;
    // From when it was heard to the end.
    assert!((2..=2_001).contains(&report.due), "{report:?}");
    assert_eq!((report.ok, report.missed), (report.due, 0));
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 200_001.0] {
        let error = run.set_rate(wrong).expect_err("refused");
        assert_eq!(error.field, "rate_per_s");
    }
    assert_eq!(run.set_users(1).expect_err("refused").field, "users");
}
