//! The guard: limits of a control group that stands in a folder, and what is done when they are passed.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use pitcrew::{
    MemoryHandle, MemoryLayer,
    clock::Clock,
    memory::{BuildError, Guard, GuardError, MAX_SHRINKS, ShrinkError},
};
use tower::{Layer, ServiceExt, service_fn};

const MIB: u64 = 1 << 20;

/// A folder that stands for `/`, with a control group of 100 MiB.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pitcrew-guard-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let machine = Self(dir);
        machine.file("proc/self/cgroup", "0::/app\n");
        machine.file("proc/self/statm", "10000 2560 0 0 0 0 0\n");
        machine.file("sys/fs/cgroup/app/memory.max", &(100 * MIB).to_string());
        machine.file("sys/fs/cgroup/app/memory.stat", "inactive_file 1048576\n");
        machine.uses(10 * MIB);
        machine
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // In one step, so that no sampler reads half a file.
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// So much, and a MiB of file cache that does not count.
    fn uses(&self, bytes: u64) {
        self.file(
            "sys/fs/cgroup/app/memory.current",
            &(bytes + MIB).to_string(),
        );
    }

    fn build(&self, guard: Guard) -> Result<(MemoryLayer, MemoryHandle), GuardError> {
        MemoryLayer::builder()
            .system_root(&self.0)
            .interval(Duration::from_millis(10))
            .release_pause(Duration::from_secs(1))
            .guard(guard)
            .try_build()
            .map_err(|error| match error {
                BuildError::Guard(error) => error,
                other => panic!("{other}"),
            })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn ask(
    layer: &MemoryLayer,
    path: &str,
) -> Response<impl Body<Data = Bytes, Error = Infallible>> {
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"an answer"))))
    });
    let request = Request::builder().uri(path).body(()).unwrap();
    layer.layer(service).oneshot(request).await.unwrap()
}

/// Waits until the guard says so, ten seconds at most.
async fn level(handle: &MemoryHandle, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let guard = handle.snapshot().guard.unwrap();
        if guard.level == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{guard:?} and not {wanted}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until so many more samples were taken, ten seconds at most.
async fn samples(handle: &MemoryHandle, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    // The last of them stands for all: there are more than are kept at some time.
    let mut last = handle.snapshot().sampled_unix_ms;
    for _ in 0..count {
        while handle.snapshot().sampled_unix_ms == last {
            assert!(Instant::now() < deadline, "the sampler does not run");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        last = handle.snapshot().sampled_unix_ms;
    }
}

async fn refused_of(layer: &MemoryLayer, path: &str, count: usize) -> usize {
    let mut refused = 0;
    for _ in 0..count {
        refused += usize::from(ask(layer, path).await.status() == StatusCode::SERVICE_UNAVAILABLE);
    }
    refused
}

#[tokio::test]
async fn past_the_hard_limit_the_chosen_share_is_refused_and_health_never() {
    let machine = Machine::new("hard");
    let guard = Guard::new()
        .shed_share(0.25)
        .retry_after(Duration::from_secs(7))
        .exempt("/probe")
        .exempt("/api/health");
    let (layer, handle) = machine.build(guard).unwrap();
    assert_eq!(refused_of(&layer, "/orders", 100).await, 0);
    machine.uses(96 * MIB);
    level(&handle, "hard").await;
    let refused = refused_of(&layer, "/orders", 1_000).await;
    assert!((249..=251).contains(&refused), "{refused}");
    for path in [
        "/health",
        "/health/db",
        "/livez",
        "/readyz",
        "/api/health",
        "/probe",
    ] {
        assert_eq!(refused_of(&layer, path, 50).await, 0, "{path}");
    }
    // What a client writes behind a route is none of them.
    let refused_files = refused_of(&layer, "/files/x/health", 1_000).await;
    assert!((249..=251).contains(&refused_files), "{refused_files}");
    let answer = loop {
        let answer = ask(&layer, "/orders").await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            break answer;
        }
    };
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(answer.headers()["content-length"], "0");
    assert!(answer.body().is_end_stream());
    assert!(
        answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    let status = handle.snapshot().guard.unwrap();
    assert!(
        status.refused as usize > refused && status.detail.contains("refused"),
        "{status:?}"
    );
    // Hysteresis: a little below the limit is not enough.
    machine.uses(94 * MIB);
    samples(&handle, 3).await;
    assert_eq!(handle.snapshot().guard.unwrap().level, "hard");
    machine.uses(85 * MIB);
    level(&handle, "soft").await;
    assert_eq!(refused_of(&layer, "/orders", 100).await, 0);
    machine.uses(70 * MIB);
    level(&handle, "calm").await;
    let status = handle.snapshot().guard.unwrap();
    assert_eq!((status.soft_passed, status.hard_passed), (1, 1));
}

#[tokio::test]
async fn nobody_is_refused_once_nobody_looks_or_the_figure_is_gone() {
    let machine = Machine::new("blind");
    let (layer, handle) = machine.build(Guard::new().shed_share(1.0)).unwrap();
    ask(&layer, "/").await;
    machine.uses(99 * MIB);
    level(&handle, "hard").await;
    assert_eq!(refused_of(&layer, "/", 10).await, 10);
    machine.file("sys/fs/cgroup/app/memory.current", "nonsense");
    level(&handle, "soft").await;
    assert_eq!(refused_of(&layer, "/", 10).await, 0);
    machine.uses(99 * MIB);
    level(&handle, "hard").await;
    handle.shutdown(Duration::from_secs(5)).await;
    assert_eq!(refused_of(&layer, "/", 10).await, 0);
}

#[tokio::test]
async fn whoever_looks_by_hand_after_the_shutdown_refuses_nobody() {
    let machine = Machine::new("shut");
    let (layer, handle) = machine.build(Guard::new().shed_share(1.0)).unwrap();
    ask(&layer, "/").await;
    handle.shutdown(Duration::from_secs(5)).await;
    machine.uses(99 * MIB);
    let status = handle.snapshot().guard.unwrap();
    assert_eq!(status.level, "idle", "{status:?}");
    assert_eq!(status.used_bytes, Some(99 * MIB));
    assert_eq!(refused_of(&layer, "/", 10).await, 0);
    handle.release().await;
    assert_eq!(refused_of(&layer, "/", 10).await, 0);
}

#[test]
fn before_the_first_request_a_look_refuses_nobody() {
    let machine = Machine::new("bare");
    let (layer, handle) = machine.build(Guard::new().shed_share(1.0)).unwrap();
    machine.uses(99 * MIB);
    assert_eq!(handle.snapshot().guard.unwrap().level, "idle");
    let mut asked = std::pin::pin!(ask(&layer, "/"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = asked.as_mut().poll(&mut cx) else {
        panic!("nothing is waited for");
    };
    assert_eq!(answer.status(), StatusCode::OK);
}

/// The file of the group's use never ends, as one of a file system that hangs: who reads it waits.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_old_sample_refuses_nobody_and_another_sampler_takes_over() {
    let machine = Machine::new("stuck");
    let clock = Clock::manual();
    let (layer, handle) = MemoryLayer::builder()
        .system_root(&machine.0)
        .interval(Duration::from_millis(10))
        .clock(clock.clone())
        .guard(Guard::new().shed_share(1.0))
        .try_build()
        .unwrap();
    assert_eq!(handle.snapshot().sampler_age_ms, None);
    ask(&layer, "/").await;
    machine.uses(99 * MIB);
    level(&handle, "hard").await;

    let pipe = machine.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let writer = tokio::net::unix::pipe::OpenOptions::new()
        .read_write(true)
        .open_sender(&pipe)
        .unwrap();
    while writer.try_write(&[b' '; 4_096]).is_ok() {}
    fs::rename(&pipe, machine.0.join("sys/fs/cgroup/app/memory.current")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // There is room again once somebody reads.
    while writer.try_write(b" ").is_err() {
        assert!(Instant::now() < deadline, "nobody reads it");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(refused_of(&layer, "/", 10).await, 10, "the sample is new");
    clock.advance(Duration::from_secs(3));
    assert_eq!(refused_of(&layer, "/", 50).await, 0);

    machine.uses(10 * MIB);
    drop(writer);
    level(&handle, "calm").await;
    machine.uses(99 * MIB);
    level(&handle, "hard").await;
    assert_eq!(refused_of(&layer, "/", 10).await, 10);
    assert_eq!(handle.snapshot().sampler_age_ms, Some(0));
}

/// Reads the handle at each event, as what adds memory to an alert would.
struct Reader(MemoryHandle, Arc<AtomicU64>);

impl tracing::Subscriber for Reader {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "pitcrew::memory"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        let level = self.0.snapshot().guard.map(|guard| guard.level);
        self.1
            .fetch_add(u64::from(level == Some("hard")), Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_log_subscriber_may_read_the_handle_at_the_guards_own_event() {
    let machine = Machine::new("log");
    let (layer, handle) = machine.build(Guard::new()).unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let reader = Reader(handle.clone(), seen.clone());
    let (done, wait) = std::sync::mpsc::channel();
    machine.uses(10 * MIB);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Of the whole process: one of this thread alone misses events whose first reader was another thread.
        tracing::subscriber::set_global_default(reader).unwrap();
        runtime.block_on(async {
            ask(&layer, "/").await;
            level(&handle, "calm").await;
            machine.uses(99 * MIB);
            level(&handle, "hard").await;
        });
        done.send(()).unwrap();
    });
    let answer = wait.recv_timeout(Duration::from_secs(30));
    assert_eq!(answer, Ok(()), "the reader waits for itself");
    assert!(seen.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_limit_that_is_lowered_while_the_process_runs_is_the_one_that_counts() {
    let machine = Machine::new("lowered");
    let (layer, handle) = machine.build(Guard::new().shed_share(1.0)).unwrap();
    machine.uses(49 * MIB);
    ask(&layer, "/").await;
    level(&handle, "calm").await;
    machine.file("sys/fs/cgroup/app/memory.max", &(50 * MIB).to_string());
    level(&handle, "hard").await;
    let status = handle.snapshot().guard.unwrap();
    assert_eq!(status.soft_limit_bytes, Some(40 * MIB), "{status:?}");
    assert_eq!(refused_of(&layer, "/", 10).await, 10);
    machine.file("sys/fs/cgroup/app/memory.max", "nonsense");
    level(&handle, "soft").await;
    assert_eq!(handle.snapshot().guard.unwrap().hard_limit_bytes, None);
    assert_eq!(refused_of(&layer, "/", 10).await, 0);
}

#[tokio::test]
async fn shutdown_is_safe_where_there_are_no_timers_or_no_runtime() {
    for with_runtime in [true, false] {
        let machine = Machine::new(if with_runtime { "timeless" } else { "outside" });
        let (layer, handle) = machine.build(Guard::new()).unwrap();
        ask(&layer, "/").await;
        let ended = handle.clone();
        std::thread::spawn(move || {
            let wait = ended.shutdown(Duration::from_secs(5));
            if with_runtime {
                let bare = tokio::runtime::Builder::new_current_thread();
                let bare = { bare }.build().unwrap();
                bare.block_on(wait);
            } else {
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(std::pin::pin!(wait).as_mut().poll(&mut cx).is_ready());
            }
        })
        .join()
        .unwrap();
        assert_eq!(handle.snapshot().guard.unwrap().level, "idle");
    }
}

#[tokio::test]
async fn past_the_soft_limit_caches_shrink_and_memory_goes_back() {
    let machine = Machine::new("soft");
    let (layer, handle) = machine.build(Guard::new()).unwrap();
    let (asked, given) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (calls, share_in_percent) = (asked.clone(), given.clone());
    handle
        .register_shrink("a cache", move |share| {
            calls.fetch_add(1, Ordering::SeqCst);
            share_in_percent.store((share * 100.0) as u64, Ordering::SeqCst);
            12_345
        })
        .unwrap();
    handle
        .register_shrink("breaks", |_| panic!("of the app"))
        .unwrap();
    ask(&layer, "/").await;
    machine.uses(82 * MIB);
    let deadline = Instant::now() + Duration::from_secs(10);
    let report = loop {
        let snapshot = handle.snapshot();
        if snapshot.automatic_releases > 0 {
            break snapshot.last_release.unwrap();
        }
        assert!(Instant::now() < deadline, "{snapshot:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(
        (asked.load(Ordering::SeqCst), given.load(Ordering::SeqCst)),
        (1, 50)
    );
    let told: Vec<_> = report
        .shrunk
        .iter()
        .map(|one| (one.name.as_str(), one.bytes))
        .collect();
    assert_eq!(told, [("a cache", Some(12_345)), ("breaks", None)]);
    assert_eq!(handle.snapshot().panics, 1);
    assert_eq!(refused_of(&layer, "/", 20).await, 0, "soft refuses nobody");
    // Not again before the pause is over.
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let asked_by_hand = handle.shrink(2.0).await;
    assert_eq!(asked_by_hand[0].bytes, Some(12_345));
    assert_eq!(given.load(Ordering::SeqCst), 100, "a share is at most all");
    for n in 2..MAX_SHRINKS {
        handle.register_shrink(&n.to_string(), |_| 0).unwrap();
    }
    assert_eq!(
        handle.register_shrink("more", |_| 0),
        Err(ShrinkError::TooMany)
    );
}

#[test]
fn limits_that_cannot_be_are_told_at_build_time() {
    let machine = Machine::new("build");
    let built = |guard: Guard| machine.build(guard).map(|_| ()).unwrap_err();
    assert_eq!(
        built(Guard::new().hard_bytes(101 * MIB)),
        GuardError::AboveGroup {
            hard: 101 * MIB,
            limit: 100 * MIB
        }
    );
    // 2,560 pages are resident, of 4 KiB at least.
    let below = built(Guard::new().soft_bytes(5 * MIB));
    assert!(
        matches!(below, GuardError::BelowPresent { limit, now } if limit == 5 * MIB && now >= 10 * MIB),
        "{below}"
    );
    machine.uses(85 * MIB);
    assert_eq!(
        built(Guard::new()),
        GuardError::BelowPresent {
            limit: 80 * MIB,
            now: 85 * MIB
        }
    );
    machine.file("sys/fs/cgroup/app/memory.max", "max");
    let error = built(Guard::new());
    assert_eq!(error, GuardError::NoLimit);
    assert!(error.to_string().contains("soft_bytes"), "{error}");
    let panic = std::panic::catch_unwind(|| {
        let _ = MemoryLayer::builder()
            .system_root("/nowhere")
            .guard(Guard::new())
            .build();
    });
    assert!(panic.is_err());
    // Nothing is guessed where a figure is nonsense: an ancestor's limit may not be the tightest.
    let machine = Machine::new("build-nonsense");
    machine.file("sys/fs/cgroup/memory.max", "64000000000");
    for (file, text, wanted) in [
        ("memory.max", "nonsense", "cgroup.limit_bytes"),
        ("memory.stat", "nothing 1", "cgroup.working_set_bytes"),
        (
            "memory.stat",
            "inactive_file 99999999999999",
            "cgroup.working_set_bytes",
        ),
    ] {
        let machine = Machine::new(&format!("build-{}", text.len()));
        machine.file("sys/fs/cgroup/memory.max", "64000000000");
        machine.file(&format!("sys/fs/cgroup/app/{file}"), text);
        let error = machine.build(Guard::new()).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, GuardError::Unknown { figure, .. } if figure == wanted),
            "{error}"
        );
    }
    machine.file("sys/fs/cgroup/app/memory.max", "0");
    let error = machine.build(Guard::new()).map(|_| ()).unwrap_err();
    assert_eq!(error, GuardError::GroupLimitZero);
    let machine = Machine::new("build-bytes");
    assert!(
        machine
            .build(Guard::new().soft_bytes(50 * MIB).hard_bytes(60 * MIB))
            .is_ok()
    );
}

#[test]
fn a_limit_in_bytes_is_held_against_the_groups_where_its_use_is_nonsense() {
    let machine = Machine::new("bytes-junk");
    let too_much = || {
        let guard = Guard::new().soft_bytes(1 << 39).hard_bytes(1 << 40);
        machine.build(guard).map(|_| ()).unwrap_err()
    };
    let above = GuardError::AboveGroup {
        hard: 1 << 40,
        limit: 100 * MIB,
    };
    assert_eq!(too_much(), above);
    machine.file("sys/fs/cgroup/app/memory.current", "junk");
    assert_eq!(too_much(), above);
    // The group is there, and what it may use is not known.
    machine.file("sys/fs/cgroup/app/memory.max", "junk");
    let error = too_much();
    assert_eq!(
        error,
        GuardError::GroupLimitUnknown("not a number".to_owned())
    );
    assert!(error.to_string().contains("memory.max"), "{error}");
    // No group at all: there is no limit that could be lower.
    fs::remove_file(machine.0.join("proc/self/cgroup")).unwrap();
    let guard = Guard::new().soft_bytes(1 << 39).hard_bytes(1 << 40);
    assert!(machine.build(guard).is_ok());
}

#[test]
fn no_limit_is_told_only_where_it_is_known_that_there_is_none() {
    let refusal = |name: &str, files: &[(&str, &str)]| {
        let machine = Machine::new(name);
        for (file, text) in files {
            machine.file(&format!("sys/fs/cgroup/app/{file}"), text);
        }
        if files.is_empty() {
            fs::remove_file(machine.0.join("proc/self/cgroup")).unwrap();
        }
        machine.build(Guard::new()).map(|_| ()).unwrap_err()
    };
    let unknown = |figure, reason: &str| GuardError::Unknown {
        figure,
        reason: reason.to_owned(),
    };
    assert_eq!(
        refusal("limit-gone", &[]),
        unknown("cgroup.limit_bytes", "/proc/self/cgroup cannot be read")
    );
    for (name, current, max) in [
        ("limit-minus", "-5", "-1"),
        ("limit-twice", "1000000000", "max max"),
        ("limit-float", "1e9", "max max"),
    ] {
        assert_eq!(
            refusal(name, &[("memory.current", current), ("memory.max", max)]),
            unknown("cgroup.limit_bytes", "not a number"),
            "{name}"
        );
    }
    // No limit, and use is not known either.
    assert_eq!(
        refusal(
            "limit-none",
            &[("memory.current", "junk"), ("memory.max", "max")]
        ),
        GuardError::NoLimit
    );
}
