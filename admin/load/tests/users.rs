//! A closed model whose number of users changes by its plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pitcrew_load::{Closed, HttpPlan, Load, Target, UserStage, start};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// A server that never answers: so many requests came to it as users have been there at once.
async fn server() -> (Target, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    let came = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                // A request comes in one piece.
                while stream
                    .read(&mut [0; 4_096])
                    .await
                    .is_ok_and(|read| read > 0)
                {
                    counted.fetch_add(1, Relaxed);
                }
            });
        }
    });
    (target, came)
}

fn plan(load: Load) -> HttpPlan {
    HttpPlan {
        load: Load {
            timeout_ms: 60_000,
            ..load
        },
        ..HttpPlan::default()
    }
}

async fn until(wanted: u64, came: &AtomicU64) {
    while came.load(Relaxed) < wanted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_ramp_up_one_after_the_other() {
    let (target, came) = server().await;
    let plan = plan(Load {
        connections: Some(5),
        duration_s: Some(600.0),
        ramp_up_s: Some(0.4),
        ..Load::default()
    });
    let run = start("1", &plan, &target).expect("starts");
    until(1, &came).await;
    until(5, &came).await;
    // The last of five is due when the ramp ends, and never before.
    assert!(run.progress().elapsed_s >= 0.4);
    assert_eq!(came.load(Relaxed), 5);
    while run.progress().in_flight < 5 {
        tokio::task::yield_now().await;
    }
    run.cancel();
    let report = run.finished().await;
    assert_eq!((report.unfinished, run.progress().in_flight), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_by_stages_and_those_that_are_asked_for_are_the_last_word() {
    let (target, came) = server().await;
    let stage = |duration_s, users, to_users| UserStage {
        duration_s,
        users,
        to_users,
    };
    let plan = plan(Load {
        closed: Some(Closed {
            stages: vec![
                stage(0.2, 2, None),
                stage(0.2, 2, Some(4)),
                stage(500.0, 4, Some(9)),
            ],
        }),
        ..Load::default()
    });
    let run = start("1", &plan, &target).expect("starts");
    until(2, &came).await;
    until(4, &came).await;
    assert!(run.progress().elapsed_s >= 0.4);
    run.set_users(9)
        .expect("as many as the stages have at most");
    until(9, &came).await;
    assert_eq!(run.set_users(10).expect_err("refused").field, "users");
    run.cancel();
    assert_eq!(run.finished().await.unfinished, 9);
}

#[test]
fn stages_of_users_that_cannot_be_are_refused_by_their_field() {
    let stages = |stages: Vec<UserStage>| Load {
        closed: Some(Closed { stages }),
        ..Load::default()
    };
    let stage = |duration_s, users| UserStage {
        duration_s,
        users,
        to_users: None,
    };
    for (load, field) in [
        (stages(Vec::new()), "closed.stages"),
        (stages(vec![stage(1.0, 0)]), "closed.stages"),
        (
            stages(vec![stage(1.0, 1), stage(0.0, 1)]),
            "closed.stages[1].duration_s",
        ),
        (
            stages(vec![stage(f64::NAN, 1)]),
            "closed.stages[0].duration_s",
        ),
        (stages(vec![stage(1.0, 1_025)]), "closed.stages[0].users"),
        (
            stages(vec![stage(400.0, 1), stage(400.0, 1)]),
            "closed.stages",
        ),
        (
            Load {
                connections: Some(2),
                ..stages(vec![stage(1.0, 1)])
            },
            "connections",
        ),
        (
            Load {
                ramp_up_s: Some(1.0),
                ..stages(vec![stage(1.0, 1)])
            },
            "ramp_up_s",
        ),
        (
            Load {
                ramp_up_s: Some(11.0),
                ..Load::default()
            },
            "ramp_up_s",
        ),
        (
            Load {
                duration_s: Some(1e-300),
                ..Load::default()
            },
            "duration_s",
        ),
    ] {
        assert_eq!(plan(load).check().expect_err(field).field, field);
    }
}
