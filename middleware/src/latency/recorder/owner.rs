//! [`Owner`]: the half of a slot that one thread has, and the only one that writes it.

use std::sync::Arc;

use super::{
    super::{exemplar::Candidate, trace::TraceId},
    cell::{CELL_BYTES, Measured, Writer},
    label::{Labels, RouteText},
    owners::LayerId,
    registry::{OVERFLOW_ROUTE, SeriesId},
    slot::{RouteCounters, Slot, route_bytes},
};

/// Ways that one thread keeps to the series of one route: (method, status code). What comes after goes to `overflow`.
const MAX_WAYS: usize = 128;

/// Bytes of a label to find a route by, which goes with the thread: by its text, and once more by where it lies.
fn label_bytes(text: RouteText<'_>) -> usize {
    2 * text.len() + 96
}

/// The half of the thread that writes.
#[derive(Debug)]
pub(crate) struct Owner {
    layer: LayerId,
    slot: Arc<Slot>,
    labels: Labels,
    /// By number of the route.
    routes: Vec<Option<Box<LocalRoute>>>,
    writers: Vec<Writer>,
    /// By number of the series: its writer's number, plus one.
    by_series: Vec<u32>,
    label_bytes: usize,
    is_common: bool,
}

/// What this thread knows of a route.
#[derive(Debug)]
pub(super) struct LocalRoute {
    counters: Arc<RouteCounters>,
    /// Method and code, and where they are counted.
    ways: Vec<(SeriesId, u32)>,
}

impl LocalRoute {
    /// After the record: what is no longer in flight has been counted.
    #[inline]
    fn end(&self, id: SeriesId, measured: &Measured, trace: TraceId, slot: &Slot) {
        self.counters.end();
        if self.counters.slowest.is_slow(measured.body_end) {
            let measured = *measured;
            let candidate = Candidate {
                id,
                trace,
                measured,
            };
            self.counters.slowest.offer(candidate, slot.exemplars);
        }
    }

    #[inline]
    fn way(&self, id: SeriesId) -> Option<u32> {
        self.ways
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, writer)| *writer)
    }
}

impl Owner {
    /// Takes over a slot that nobody writes.
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        let mut owner = Self {
            layer: slot.layer,
            label_bytes: 0,
            is_common: false,
            labels: Labels::default(),
            routes: Vec::new(),
            writers: Vec::new(),
            by_series: Vec::new(),
            slot,
        };
        for cell in owner.slot.cells_after(0) {
            owner.keep(Writer::new(cell));
        }
        for counters in owner.slot.routes_after(0) {
            owner.keep_route(counters);
        }
        if owner.routes.is_empty() {
            owner.add_route(OVERFLOW_ROUTE, owner.slot.exemplars);
        }
        owner
    }

    /// One that threads share that may not have a slot of their own. It has [`COMMON_BYTES`] whatever else is taken: there is one.
    pub(crate) fn common(slot: Arc<Slot>) -> Self {
        let mut owner = Self::new(slot);
        owner.is_common = true;
        owner
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// The layer that this is of.
    #[inline]
    pub(crate) fn layer(&self) -> LayerId {
        self.layer
    }

    /// The number of a label's route.
    #[inline]
    pub(crate) fn route(&mut self, text: RouteText<'_>) -> u16 {
        match self.labels.find(text) {
            Some(route) => route,
            None => self.meet(text),
        }
    }

    #[cold]
    fn meet(&mut self, text: RouteText<'_>) -> u16 {
        if text.is_too_long() {
            return OVERFLOW_ROUTE;
        }
        let Some(shared) = self.slot.shared().upgrade() else {
            return OVERFLOW_ROUTE;
        };
        // Room first: without it this is asked again with each request, and must not come to a lock.
        let room = shared.room();
        let (label_bytes, route_bytes) = (label_bytes(text), route_bytes(self.slot.exemplars));
        if !room.take(label_bytes + route_bytes) {
            return OVERFLOW_ROUTE;
        }
        let Some(route) = shared.registry().route(text) else {
            room.give_back(label_bytes + route_bytes);
            return OVERFLOW_ROUTE;
        };
        self.labels.insert(text, route);
        self.label_bytes += label_bytes;
        if self
            .routes
            .get(usize::from(route))
            .is_none_or(Option::is_none)
        {
            self.add_route(route, self.slot.exemplars);
        } else {
            room.give_back(route_bytes);
        }
        route
    }

    /// Counts a request as under way, and answers the number of its route.
    #[inline(always)]
    pub(crate) fn begin(&mut self, text: RouteText<'_>) -> u16 {
        let route = self.route(text);
        if let Some(Some(local)) = self.routes.get(usize::from(route)) {
            local.counters.begin();
        }
        route
    }

    /// Counts a request that has ended. `None` where this thread has not met the route and has no room for it.
    #[inline(always)]
    pub(crate) fn end(
        &mut self,
        route: u16,
        id: SeriesId,
        measured: &Measured,
        trace: TraceId,
    ) -> Option<()> {
        let met = self.routes.get(usize::from(route));
        let Some(local) = met.and_then(Option::as_deref) else {
            return self.end_elsewhere(route, id, measured, trace);
        };
        let known = local.way(id).map(|writer| writer as usize);
        let Some(writer) = known.and_then(|writer| self.writers.get_mut(writer)) else {
            return self.end_anew(route, id, measured, trace);
        };
        writer.record(measured, |series, place| self.slot.has_room(series, place));
        local.end(id, measured, trace, &self.slot);
        Some(())
    }

    /// The same in a series that this thread meets for the first time. `None` where it has no room for it, nor for `overflow`.
    #[cold]
    fn end_anew(
        &mut self,
        route: u16,
        id: SeriesId,
        measured: &Measured,
        trace: TraceId,
    ) -> Option<()> {
        let writer = self.find_way(route, id)?;
        let writer = self.writers.get_mut(writer as usize)?;
        writer.record(measured, |series, place| self.slot.has_room(series, place));
        if let Some(Some(local)) = self.routes.get(usize::from(route)) {
            local.end(id, measured, trace, &self.slot);
        }
        Some(())
    }

    /// The same where another thread has begun the request, of a route that this one has not met.
    #[cold]
    fn end_elsewhere(
        &mut self,
        route: u16,
        id: SeriesId,
        measured: &Measured,
        trace: TraceId,
    ) -> Option<()> {
        let has_room = self
            .slot
            .shared()
            .upgrade()
            .is_some_and(|shared| shared.room().take(route_bytes(self.slot.exemplars)));
        if has_room {
            self.add_route(route, self.slot.exemplars);
        } else if self.is_common {
            self.add_route(route, 0);
        } else {
            return None;
        }
        self.end_anew(route, id, measured, trace)
    }

    /// Where a series is counted that this thread meets for the first time.
    #[cold]
    fn find_way(&mut self, route: u16, id: SeriesId) -> Option<u32> {
        let shared = self.slot.shared().upgrade()?;
        let is_full = self
            .routes
            .get(usize::from(route))?
            .as_ref()
            .is_some_and(|local| local.ways.len() >= MAX_WAYS);
        let mut series = if is_full {
            shared.registry().overflow(id)
        } else {
            shared.registry().series(route, id)
        };
        let mut writer = self.writer_of(series);
        if writer.is_none() {
            let has_room = shared.room().take(CELL_BYTES);
            if !has_room {
                series = shared.registry().overflow(id);
                writer = self.writer_of(series);
            }
            if writer.is_none() {
                if !has_room && !self.is_common {
                    return None;
                }
                let cell = self.slot.add_cell(series);
                writer = Some(self.keep(Writer::new(cell)));
            }
        }
        let writer = writer?;
        if !is_full && let Some(Some(local)) = self.routes.get_mut(usize::from(route)) {
            local.ways.push((id, writer));
        }
        Some(writer)
    }

    fn writer_of(&self, series: u32) -> Option<u32> {
        self.by_series.get(series as usize)?.checked_sub(1)
    }

    fn keep(&mut self, writer: Writer) -> u32 {
        let series = writer.cell().series() as usize;
        if self.by_series.len() <= series {
            self.by_series.resize(series + 1, 0);
        }
        self.writers.push(writer);
        self.by_series[series] = self.writers.len() as u32;
        self.writers.len() as u32 - 1
    }

    fn add_route(&mut self, route: u16, exemplars: usize) {
        let counters = self.slot.add_route(route, exemplars);
        self.keep_route(counters);
    }

    fn keep_route(&mut self, counters: Arc<RouteCounters>) {
        let route = usize::from(counters.route);
        if self.routes.len() <= route {
            self.routes.resize_with(route + 1, || None);
        }
        self.routes[route] = Some(Box::new(LocalRoute {
            counters,
            ways: Vec::new(),
        }));
    }
}

impl Drop for Owner {
    /// The thread ends: the next one may have the slot.
    fn drop(&mut self) {
        if !self.is_common
            && let Some(shared) = self.slot.shared().upgrade()
        {
            shared.room().give_back(self.label_bytes);
            shared.slots().give_back(self.slot.clone());
        }
    }
}
