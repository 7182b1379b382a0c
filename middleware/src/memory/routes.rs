//! Bytes and allocations per route, bounded, sharded by thread as the latency recorder is.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::snapshot::RouteAllocation;
use crate::{route::OVERFLOW, shard::thread_index};

/// Shards at most; a row is some 100 bytes.
const MAX_SHARDS: usize = 16;

#[derive(Clone, Copy, Default)]
struct Row {
    requests: u64,
    bytes: u64,
    allocations: u64,
}

type Rows = HashMap<Box<str>, Vec<(&'static str, Row)>>;

pub(super) struct Routes {
    shards: Box<[Mutex<Rows>]>,
    known: Mutex<HashMap<Box<str>, Vec<&'static str>>>,
    count: AtomicUsize,
    max: usize,
    dropped: AtomicU64,
}

impl Routes {
    pub(super) fn new(max: usize) -> Self {
        let shards = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .next_power_of_two()
            .min(MAX_SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            known: Mutex::default(),
            count: AtomicUsize::new(0),
            max: max.max(2),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, route: &str, method: &'static str, bytes: u64, allocations: u64) {
        let mut shard = lock(&self.shards[thread_index() % self.shards.len()]);
        let known = shard
            .get(route)
            .is_some_and(|rows| rows.iter().any(|row| row.0 == method));
        let (route, method) = if known || self.admit(route, method) {
            (route, method)
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            (OVERFLOW, "*")
        };
        if !shard.contains_key(route) {
            shard.insert(route.into(), Vec::new());
        }
        let Some(rows) = shard.get_mut(route) else {
            return;
        };
        let at = rows
            .iter()
            .position(|row| row.0 == method)
            .unwrap_or_else(|| {
                rows.push((method, Row::default()));
                rows.len() - 1
            });
        let row = &mut rows[at].1;
        row.requests += 1;
        row.bytes = row.bytes.wrapping_add(bytes);
        row.allocations = row.allocations.wrapping_add(allocations);
    }

    fn admit(&self, route: &str, method: &'static str) -> bool {
        let mut known = lock(&self.known);
        if known
            .get(route)
            .is_some_and(|methods| methods.contains(&method))
        {
            return true;
        }
        // One row is kept back for what overflows.
        if self.count.load(Ordering::Relaxed) + 1 >= self.max {
            return false;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        known.entry(route.into()).or_default().push(method);
        true
    }

    pub(super) fn snapshot(&self) -> Vec<RouteAllocation> {
        let mut merged: HashMap<(Box<str>, &'static str), Row> = HashMap::new();
        for shard in &self.shards {
            for (route, rows) in lock(shard).iter() {
                for (method, row) in rows {
                    let sum = merged.entry((route.clone(), method)).or_default();
                    sum.requests += row.requests;
                    sum.bytes = sum.bytes.wrapping_add(row.bytes);
                    sum.allocations = sum.allocations.wrapping_add(row.allocations);
                }
            }
        }
        let mut rows: Vec<_> = merged
            .into_iter()
            .map(|((route, method), row)| RouteAllocation {
                route: route.into(),
                method: method.to_owned(),
                requests: row.requests,
                bytes_allocated: row.bytes,
                allocations: row.allocations,
                bytes_per_request: row.bytes as f64 / row.requests.max(1) as f64,
            })
            .collect();
        rows.sort_by(|a, b| {
            b.bytes_allocated
                .cmp(&a.bytes_allocated)
                .then_with(|| a.route.cmp(&b.route))
        });
        rows
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
