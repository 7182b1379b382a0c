//! Calls of the host's own in the place of requests: where they run, how they fail, and that none outlives its run.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use pitcrew_load::{ErrorKind, Load, Open, Spacing, Stage, start_calls};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

fn closed(connections: u32, requests: u64) -> Load {
    Load {
        connections: Some(connections),
        requests: Some(requests),
        ..Load::default()
    }
}

/// Counts calls that are under way, also where one is dropped.
struct Under(Arc<AtomicU64>);

impl Under {
    fn way(counter: &Arc<AtomicU64>) -> (Self, u64) {
        let before = counter.fetch_add(1, SeqCst);
        (Self(Arc::clone(counter)), before + 1)
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_loaded_where_it_lives_and_gives_no_more_than_it_has() {
    let pool = Arc::new(Semaphore::new(2));
    let (under_way, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let home = Handle::current().id();
    let call = {
        let most = Arc::clone(&most);
        move || {
            let (pool, under_way, most) = (pool.clone(), under_way.clone(), most.clone());
            async move {
                assert_eq!(Handle::current().id(), home);
                let _one = pool.acquire().await.map_err(|_| ErrorKind::Connect)?;
                let (_under, now) = Under::way(&under_way);
                most.fetch_max(now, SeqCst);
                tokio::task::yield_now().await;
                Ok(())
            }
        }
    };
    let run = start_calls("1", &closed(8, 200), call).unwrap();
    let report = run.finished().await;
    assert_eq!((report.ok, report.requests), (200, 200), "{report:?}");
    assert_eq!(report.service.count, 200);
    assert!((1..=2).contains(&most.load(SeqCst)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_is_counted_as_what_it_was() {
    let number = Arc::new(AtomicU64::new(0));
    let call = move || {
        let number = number.fetch_add(1, SeqCst);
        async move {
            match number % 4 {
                0 => Ok(()),
                1 => Err(ErrorKind::Sql),
                // A panic, without its text on the terminal.
                2 => std::panic::resume_unwind(Box::new(())),
                _ => std::future::pending().await,
            }
        }
    };
    let load = Load {
        // Long, for a busy machine must not make a timeout of the others.
        timeout_ms: 1_000,
        ..closed(4, 8)
    };
    let report = start_calls("1", &load, call).unwrap();
    let report = report.finished().await;
    assert_eq!(report.ok, 2);
    let wanted = [
        (ErrorKind::Sql, 2),
        (ErrorKind::Protocol, 2),
        (ErrorKind::Timeout, 2),
    ];
    assert_eq!(report.errors, wanted.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_leaves_no_call_behind() {
    let under_way = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&under_way);
    let call = move || {
        let (under, _) = Under::way(&counter);
        async move {
            let _under = under;
            std::future::pending().await
        }
    };
    let run = start_calls("1", &closed(8, 1_000), call).unwrap();
    while under_way.load(SeqCst) < 8 {
        tokio::task::yield_now().await;
    }
    run.cancel();
    assert!(run.finished().await.cancelled);
    // A task is dropped by its own runtime, soon.
    while under_way.load(SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_model_calls_when_it_is_due() {
    let load = Load {
        connections: Some(4),
        ..Load::default()
    }
    .with_open(Open {
        stages: vec![Stage {
            duration_s: 0.2,
            rate_per_s: 500.0,
            to_rate_per_s: None,
        }],
        spacing: Spacing::Even,
        seed: 0,
    });
    let run = start_calls("1", &load, || async { Ok(()) }).unwrap();
    let report = run.finished().await;
    assert_eq!((report.due, report.ok, report.missed), (100, 100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_run_lasts_as_long_as_its_stages_and_its_rate_is_of_all_of_them() {
    let stage = |duration_s, rate_per_s| Stage {
        duration_s,
        rate_per_s,
        to_rate_per_s: None,
    };
    let load = Load::default().with_open(Open {
        stages: vec![stage(0.1, 20.0), stage(0.3, 0.0)],
        spacing: Spacing::Even,
        seed: 0,
    });
    let run = start_calls("1", &load, || async { Ok(()) }).unwrap();
    let report = run.finished().await;
    assert_eq!((report.due, report.ok), (2, 2));
    assert!(report.elapsed_s >= 0.4, "{}", report.elapsed_s);
    assert!(report.rate_per_s <= 5.0, "{}", report.rate_per_s);
}

#[test]
fn what_cannot_be_run_is_refused_with_its_field() {
    let refused = start_calls("1", &closed(1, 1), || async { Ok(()) });
    assert_eq!(refused.unwrap_err().field, "call");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let refused = runtime
        .unwrap()
        .block_on(async { start_calls("1", &closed(0, 1), || async { Ok(()) }) });
    assert_eq!(refused.unwrap_err().field, "connections");
}
