//! Releases past a threshold, alone in their process: what glibc calls free need not be resident.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{MemoryHandle, MemoryLayer, clock::Clock};
use tower::{Layer, ServiceExt, service_fn};

/// Waits for it, ten seconds at most.
async fn until(handle: &MemoryHandle, is_so: impl Fn(&MemoryHandle) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so(handle) {
        assert!(Instant::now() < deadline, "{:?}", handle.snapshot());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn memory_that_was_given_back_is_not_released_again_and_again() {
    let clock = Clock::manual();
    let (layer, handle) = MemoryLayer::builder()
        .clock(clock.clone())
        .interval(Duration::from_millis(10))
        .release_pause(Duration::from_secs(1))
        .release_above(50 << 20)
        .build();
    // Small blocks, all freed but one in a thousand: a trim gives their pages back, and glibc calls them free all the same.
    let (mut kept, mut freed) = (Vec::new(), Vec::new());
    for n in 0..400_000_usize {
        let block = vec![1_u8; 512];
        let list = if n.is_multiple_of(1_000) {
            &mut kept
        } else {
            &mut freed
        };
        list.push(block);
    }
    drop(freed);
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let asked = layer.layer(service).oneshot(Request::new(()));
    asked.await.unwrap();
    until(&handle, |handle| handle.snapshot().automatic_releases > 0).await;
    let first = handle.snapshot().last_release.unwrap();
    assert!(first.released_bytes > 100 << 20, "{first:?}");
    for _ in 0..20 {
        clock.advance(Duration::from_secs(1));
        let samples = handle.snapshot().trend.len();
        until(&handle, |handle| {
            handle.snapshot().trend.len() > samples + 2
        })
        .await;
    }
    assert_eq!(handle.snapshot().automatic_releases, 1);
    drop(kept);
    handle.shutdown(Duration::from_secs(5)).await;
}
