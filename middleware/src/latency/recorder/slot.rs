//! [`Slot`]: one thread's part of a layer's figures, which its [`Owner`](super::owner::Owner) alone writes.
//!
//! A slot outlives its thread: the next thread goes on with the same cells, whose numbers go on growing. So threads that
//! come and go by the thousand need no more slots than there are threads at one time, and a thread's end loses nothing.

use std::sync::{Arc, Weak};

use super::{
    super::{
        exemplar::{Candidate, Candidates, MAX_EXEMPLARS},
        sync::{AtomicU32, Mutex, Ordering, lock},
    },
    cell::{CELL_BYTES, Cell},
    owner::{LocalRoute, Owner},
    owners::LayerId,
    registry::OVERFLOW_SERIES,
    shared::Shared,
};

/// Bytes of a slot and its owner before the first series, the route `overflow` included.
pub(crate) const fn slot_bytes(exemplars: usize) -> usize {
    size_of::<Slot>() + size_of::<Owner>() + 1_024 + route_bytes(exemplars)
}

/// Bytes of the part that threads share that have no room for their own: all that is counted then is counted there in `overflow`.
pub(crate) const COMMON_BYTES: usize = slot_bytes(MAX_EXEMPLARS) + 2 * OVERFLOW_SERIES * CELL_BYTES;

/// Bytes of a route's counters and slow requests, which stay with the slot.
pub(super) const fn route_bytes(exemplars: usize) -> usize {
    size_of::<LocalRoute>() + size_of::<RouteCounters>() + exemplars * size_of::<Candidate>() + 192
}

/// The half that both sides see.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) layer: LayerId,
    shared: Weak<Shared>,
    /// How many of the slowest requests are kept.
    pub(super) exemplars: usize,
    cells: Mutex<Vec<Arc<Cell>>>,
    routes: Mutex<Vec<Arc<RouteCounters>>>,
}

/// How many requests of a route this thread has begun, and how many it has ended, whoever began them. Both wrap; begun less
/// ended over all threads is what is in flight.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct RouteCounters {
    pub(crate) route: u16,
    begun: AtomicU32,
    ended: AtomicU32,
    pub(crate) slowest: Candidates,
}

impl RouteCounters {
    fn new(route: u16, exemplars: usize) -> Self {
        Self {
            route,
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            slowest: Candidates::new(exemplars),
        }
    }

    /// A request begins. By its owner alone: a plain addition.
    #[inline]
    pub(super) fn begin(&self) {
        bump(&self.begun);
    }

    /// One has ended.
    #[inline]
    pub(super) fn end(&self) {
        bump(&self.ended);
    }

    /// Release and Acquire: whoever sees a request's end sees its beginning, on whatever thread.
    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Acquire)
    }

    pub(crate) fn ended(&self) -> u32 {
        self.ended.load(Ordering::Acquire)
    }
}

#[inline]
fn bump(counter: &AtomicU32) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Release,
    );
}

impl Slot {
    pub(crate) fn new(layer: LayerId, shared: Weak<Shared>, exemplars: usize) -> Self {
        Self {
            layer,
            shared,
            exemplars,
            cells: Mutex::default(),
            routes: Mutex::default(),
        }
    }

    #[cold]
    pub(super) fn has_room(&self, series: u32, place: usize) -> bool {
        let shared = self.shared.upgrade();
        shared.is_some_and(|shared| shared.room().take_chunk(series, place))
    }

    pub(crate) fn shared(&self) -> &Weak<Shared> {
        &self.shared
    }

    /// A cell of a series that this slot has none of.
    pub(super) fn add_cell(&self, series: u32) -> Arc<Cell> {
        let cell = Arc::new(Cell::new(series));
        lock(&self.cells).push(cell.clone());
        cell
    }

    /// Counters of a route that it has none of.
    pub(super) fn add_route(&self, route: u16, exemplars: usize) -> Arc<RouteCounters> {
        let counters = Arc::new(RouteCounters::new(route, exemplars));
        lock(&self.routes).push(counters.clone());
        counters
    }

    /// Cells that came after the first `known`.
    pub(crate) fn cells_after(&self, known: usize) -> Vec<Arc<Cell>> {
        lock(&self.cells)[known..].to_vec()
    }

    /// Counters that came after the first `known`.
    pub(crate) fn routes_after(&self, known: usize) -> Vec<Arc<RouteCounters>> {
        lock(&self.routes)[known..].to_vec()
    }
}
