//! The memory layer with the allocator as it is: sampling and release.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{MemoryHandle, MemoryLayer, memory::LeakState};
use tower::{Layer, ServiceExt, service_fn};

/// A release is of the whole process: tests that make one, or wait for one, take their turns.
static RELEASES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn built() -> (MemoryLayer, MemoryHandle) {
    MemoryLayer::builder()
        .interval(Duration::from_millis(10))
        .build()
}

async fn ask(layer: &MemoryLayer) {
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    layer
        .layer(service)
        .oneshot(Request::new(()))
        .await
        .unwrap();
}

/// Waits for the sampler, ten seconds at most.
async fn points(handle: &MemoryHandle, wanted: usize) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while handle.snapshot().trend.len() < wanted {
        assert!(
            std::time::Instant::now() < deadline,
            "the sampler does not run"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn without_a_runtime_and_a_sample_one_is_taken_when_asked() {
    let (_layer, handle) = built();
    let snapshot = handle.snapshot();
    let process = &snapshot.process;
    assert!(process.rss_bytes > Some(0) && process.peak_rss_bytes >= process.rss_bytes);
    assert!(snapshot.system.total_bytes > Some(0) && snapshot.system.available_bytes > Some(0));
    assert!(process.threads > Some(0) && snapshot.sampled_unix_ms > 1_700_000_000_000);
    assert_eq!(snapshot.leak.state, LeakState::Unknown);
    assert!(
        snapshot.leak.detail.contains("114 minutes"),
        "{:?}",
        snapshot.leak
    );
    assert!(!snapshot.counting && snapshot.routes.is_empty());
    assert_eq!(snapshot.sample_errors, 0);
    let json = serde_json::to_value(&snapshot).unwrap();
    assert!(json["process"]["rss_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn the_sampler_starts_with_the_first_request_and_stops_with_shutdown() {
    let (layer, handle) = built();
    ask(&layer).await;
    points(&handle, 5).await;
    let trend = handle.snapshot().trend;
    assert!(
        trend
            .iter()
            .all(|point| point.rss_bytes > 0 && point.samples == 1)
    );
    assert!(
        trend
            .windows(2)
            .all(|pair| pair[0].unix_ms <= pair[1].unix_ms)
    );
    handle.shutdown(Duration::from_secs(5)).await;
    ask(&layer).await;
    // One that ran would have looked ten times and more.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while handle.snapshot().sampler_age_ms < Some(200) {
        assert!(std::time::Instant::now() < deadline, "it goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn the_sampler_outlives_the_runtimes_of_the_requests() {
    let (layer, handle) = built();
    for round in 1..=3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            ask(&layer).await;
            points(&handle, round * 3).await;
        });
        drop(runtime);
        let before = handle.snapshot().trend.len();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while handle.snapshot().trend.len() == before {
            assert!(
                std::time::Instant::now() < deadline,
                "it ended with {round}"
            );
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn release_gives_scattered_free_memory_back_and_says_how_much() {
    let _alone = RELEASES.lock().await;
    let (_layer, handle) = built();
    // Small blocks, all freed but a few that keep the heap's top in place: only a trim returns such pages.
    let mut kept = Vec::new();
    let mut freed = Vec::new();
    for n in 0..200_000_usize {
        let block = vec![1_u8; 512];
        if n.is_multiple_of(1_000) {
            kept.push(block)
        } else {
            freed.push(block)
        }
    }
    drop(freed);
    let report = handle.release().await;
    drop(kept);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        assert!(report.supported);
        assert_eq!(report.method, "malloc_trim");
        assert!(report.released_bytes > 20_000_000, "{report:?}");
        assert_eq!(
            report.released_bytes,
            report.before_bytes.unwrap() - report.after_bytes.unwrap()
        );
        assert_eq!(report.allocator, "glibc");
        assert!(
            report.took_ms > 0.0 && report.detail.contains("malloc_trim gave"),
            "{report:?}"
        );
    } else {
        assert!(!report.supported && report.detail.contains("nothing to do"));
    }
    let snapshot = handle.snapshot();
    assert!(snapshot.process.rss_bytes > Some(0));
    assert_eq!(snapshot.last_release.unwrap().detail, report.detail);
}

#[tokio::test]
async fn whoever_asks_for_a_release_while_one_runs_shares_the_next() {
    let _alone = RELEASES.lock().await;
    let (_layer, handle) = built();
    let asked: Vec<_> = (0..64)
        .map(|_| {
            let handle = handle.clone();
            tokio::spawn(async move { handle.release().await })
        })
        .collect();
    let mut reports = Vec::new();
    for asked in asked {
        reports.push(asked.await.unwrap());
    }
    assert!(
        reports
            .iter()
            .all(|report| report.supported || cfg!(not(target_env = "gnu")))
    );
    // Each ran for a time of its own, to the nanosecond.
    reports.sort_by(|a, b| a.took_ms.total_cmp(&b.took_ms));
    reports.dedup_by(|a, b| a.took_ms == b.took_ms && a.detail == b.detail);
    assert!(reports.len() <= 2, "{} releases", reports.len());
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0);
}

#[test]
fn the_first_sample_tells_no_cpu_share_in_the_trend_either() {
    let (_layer, handle) = built();
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.process.cpu_percent, None);
    assert_eq!(snapshot.trend[0].cpu_percent, None);
}

#[test]
fn without_proc_everything_is_unknown_with_a_reason_and_nothing_panics() {
    let (_layer, handle) = MemoryLayer::builder()
        .system_root("/nowhere/at/all")
        .build();
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.process.rss_bytes, handle.rss_bytes()),
        (None, None)
    );
    let known = |figure: &str| {
        snapshot
            .unknown
            .iter()
            .any(|unknown| unknown.figure == figure)
    };
    assert!(
        known("process.rss_bytes") && known("cgroup"),
        "{:?}",
        snapshot.unknown
    );
    assert!(snapshot.trend.is_empty() && snapshot.sample_errors > 0);
    let json = serde_json::to_value(&snapshot).unwrap();
    assert!(json["process"]["rss_bytes"].is_null());
}

/// A panic hook may end the process, and `panic = "abort"` does: so nobody asks Tokio what it answers by a panic.
#[test]
fn in_a_runtime_without_timers_or_in_none_nothing_panics_and_samples_are_taken() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let this = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == this {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        before(info);
    }));
    for with_runtime in [true, false] {
        let (layer, handle) = built();
        let mut asked = std::pin::pin!(ask(&layer));
        if with_runtime {
            let bare = tokio::runtime::Builder::new_current_thread();
            { bare }.build().unwrap().block_on(asked);
        } else {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(asked.as_mut().poll(&mut cx).is_ready());
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while handle.snapshot().trend.len() < 3 {
            assert!(
                std::time::Instant::now() < deadline,
                "the sampler does not run"
            );
            std::thread::yield_now();
        }
        assert_eq!(handle.snapshot().requests, 1);
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn free_memory_goes_back_by_itself_past_the_threshold() {
    let _alone = RELEASES.lock().await;
    let (layer, handle) = MemoryLayer::builder()
        .interval(Duration::from_millis(10))
        .release_above(20 << 20)
        .build();
    let mut kept = Vec::new();
    let mut freed = Vec::new();
    for n in 0..200_000_usize {
        let block = vec![1_u8; 512];
        if n.is_multiple_of(1_000) {
            kept.push(block)
        } else {
            freed.push(block)
        }
    }
    drop(freed);
    ask(&layer).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while cfg!(all(target_os = "linux", target_env = "gnu")) {
        let snapshot = handle.snapshot();
        if snapshot.automatic_releases > 0 {
            assert!(snapshot.last_release.unwrap().released_bytes > 10 << 20);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{snapshot:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(kept);
    handle.shutdown(Duration::from_secs(5)).await;
}
