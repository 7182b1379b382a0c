//! Hit ratio on generated traces: what is popular drifts, and scans touch what is never asked for again.
//!
//! Every policy holds the same bytes: what an answer weighs is asked of our own cache, keys and headers included.

use std::task::{Context, Poll};
use std::{convert::Infallible, future::Ready, future::ready};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use pitcrew::CacheLayer;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tower::{Layer, Service};

use crate::hits::{drain, runtime};

/// Objects that are asked for again.
const OBJECTS: u32 = 50_000;

/// Requests of a trace.
const REQUESTS: usize = 400_000;

/// What a cache holds: about a twentieth of all objects' bytes.
const CAPACITY_BYTES: u64 = 16 << 20;

/// How a trace is made.
struct Shape {
    /// Exponent of Zipf's law.
    skew: f64,
    /// Requests after which a popular object and any other change places.
    drift_every: usize,
    /// Share of the requests that belong to scans, and their length.
    scanned: f64,
    scan_length: usize,
}

/// The two traces: much drift with few scans, and the other way round.
const SHAPES: [Shape; 2] = [
    Shape {
        skew: 0.9,
        drift_every: 50,
        scanned: 0.05,
        scan_length: 500,
    },
    Shape {
        skew: 0.8,
        drift_every: 500,
        scanned: 0.3,
        scan_length: 5_000,
    },
];

/// The objects asked for, in order.
fn trace(shape: &Shape, seed: u64) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sums = Vec::with_capacity(OBJECTS as usize);
    let mut sum = 0.0;
    for rank in 1..=OBJECTS {
        sum += f64::from(rank).powf(-shape.skew);
        sums.push(sum);
    }
    // By rank.
    let mut objects: Vec<u32> = (0..OBJECTS).collect();
    objects.shuffle(&mut random);
    // Scanned objects are new each time.
    let mut fresh = OBJECTS;
    let mut trace = Vec::with_capacity(REQUESTS + shape.scan_length);
    // Of a trace a scan starts so often that its objects make up their share.
    let start = shape.scanned / ((1.0 - shape.scanned) * shape.scan_length as f64);
    let mut asked = 0;
    while trace.len() < REQUESTS {
        if random.random::<f64>() < start {
            trace.extend(fresh..fresh + shape.scan_length as u32);
            fresh += shape.scan_length as u32;
        }
        let mut rank = || {
            let drawn = random.random::<f64>() * sum;
            sums.partition_point(|sum| *sum < drawn)
        };
        trace.push(objects[rank()]);
        asked += 1;
        if asked % shape.drift_every == 0 {
            let popular = rank();
            objects.swap(popular, random.random_range(0..OBJECTS as usize));
        }
    }
    trace.truncate(REQUESTS);
    trace
}

/// Bytes of an object's body: 256 to 16,384, small ones more often.
fn body_bytes(object: u32) -> usize {
    let mut state = u64::from(object).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 32;
    let share = (state.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1_u64 << 24) as f64;
    (256.0 * 64_f64.powf(share)) as usize
}

/// Answers with as many bytes as the object has.
#[derive(Clone)]
struct Origin(Bytes);

impl Service<Request<Body>> for Origin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let object = request.uri().path()[1..].parse().unwrap_or(0);
        let mut response = Response::new(Body::from(self.0.slice(..body_bytes(object))));
        response.headers_mut().insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("max-age=3600"),
        );
        ready(Ok(response))
    }
}

/// Hit ratio of our own cache, and what an answer weighs in it besides its body.
fn ours(trace: &[u32]) -> (f64, u64) {
    let (layer, handle) = CacheLayer::builder().capacity_bytes(CAPACITY_BYTES).build();
    let mut service = layer.layer(Origin(Bytes::from(vec![b'x'; 16 << 10])));
    runtime().block_on(async {
        let mut overhead = 0;
        for (n, object) in trace.iter().enumerate() {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = format!("/{object:08}").parse().expect("a path");
            drain(service.call(request).await.expect("an answer")).await;
            if n == 0 {
                tokio::task::yield_now().await;
                let held = handle.stats().l1;
                assert_eq!(held.entries, 1, "the first answer is held");
                overhead = held.bytes - body_bytes(*object) as u64;
            }
        }
        (handle.stats().hits as f64 / trace.len() as f64, overhead)
    })
}

fn moka(trace: &[u32], overhead: u64) -> f64 {
    let cache = moka::sync::Cache::builder()
        .max_capacity(CAPACITY_BYTES)
        .weigher(move |object: &u32, ()| (body_bytes(*object) as u64 + overhead) as u32)
        .build();
    let mut hits = 0;
    for object in trace {
        if cache.get(object).is_some() {
            hits += 1;
        } else {
            cache.insert(*object, ());
        }
        // At once, not some time later: its policy at its best.
        cache.run_pending_tasks();
        assert!(cache.weighted_size() <= CAPACITY_BYTES, "equal bytes");
    }
    f64::from(hits) / trace.len() as f64
}

fn tiny_ufo(trace: &[u32], overhead: u64) -> f64 {
    // Its weights are 16 bits wide.
    const UNIT: u64 = 16;
    let limit = CAPACITY_BYTES / UNIT;
    let cache = tinyufo::TinyUfo::new(limit as usize, OBJECTS as usize / 10);
    let (mut hits, mut held) = (0, 0);
    for object in trace {
        if cache.get(object).is_some() {
            hits += 1;
            continue;
        }
        let weight = (body_bytes(*object) as u64 + overhead).div_ceil(UNIT);
        held += weight;
        for evicted in cache.put(*object, (), weight as u16) {
            held -= u64::from(evicted.weight);
        }
        assert!(held <= limit, "equal bytes");
    }
    f64::from(hits) / trace.len() as f64
}

/// Hit ratios of ours, ours again, moka and TinyUFO on each trace.
pub(crate) fn hit_ratios(seed: u64) -> Vec<[f64; 4]> {
    let ratios = |shape| {
        let trace = trace(shape, seed);
        let (own, overhead) = ours(&trace);
        [
            own,
            ours(&trace).0,
            moka(&trace, overhead),
            tiny_ufo(&trace, overhead),
        ]
    };
    SHAPES.iter().map(ratios).collect()
}
