//! The folding side: what all threads have recorded, by series and over time.

mod code;
mod hours;
mod publish;
mod rates;
mod series;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub(crate) use self::code::{CodeSums, LE, classic};
pub use self::series::HOURS;
use self::{code::Code, hours::Hours, rates::Decay, series::Series};
use super::{
    class::StatusClass,
    difference::{Difference, SeriesKey},
    exemplar::{Candidate, Kept, Slowest},
    recorder::{
        reading::{Reader, Reading},
        registry::Method,
        shared::Shared,
        slot::{RouteCounters, Slot},
    },
    slo::{ObjectiveReport, Tracker},
    tally::SumsTally,
};

/// Bytes that the past of all series takes at most, exemplars and labels included; where it would take more, all but the last minute is brought to one
/// significant figure, and then, if need be, the older half of what is kept goes, then the older half of the exemplars.
pub const LEDGER_BYTES: usize = 10 << 20;

/// How many folds in a row may leave out a series that is being written all the time.
const PATIENCE: u32 = 2;

/// All that was ever folded.
pub(crate) struct Ledger {
    started: Duration,
    /// Of the last fold, since `started`.
    folded_at: Duration,
    /// Anchored by the first fold.
    hours: Option<Hours>,
    slots: Vec<View>,
    /// By the registry's numbers.
    routes: Vec<Arc<str>>,
    /// By the registry's numbers: one a status code.
    codes: Vec<Code>,
    series: Vec<Series>,
    by_key: HashMap<(u16, Method, StatusClass), usize>,
    reading: Reading,
    tally: SumsTally,
    tracker: Tracker,
    coarsened: u64,
    /// By the registry's numbers of routes.
    slowest: Vec<Arc<Slowest>>,
    /// Exemplars that had to go.
    forgotten: u64,
}

/// What is known of a slot.
struct View {
    slot: Arc<Slot>,
    cells: usize,
    routes: Vec<Arc<RouteCounters>>,
}

impl Ledger {
    pub(crate) fn new(started: Duration, tracker: Tracker) -> Self {
        Self {
            started,
            folded_at: Duration::ZERO,
            hours: None,
            slots: Vec::new(),
            routes: Vec::new(),
            codes: Vec::new(),
            series: Vec::new(),
            by_key: HashMap::new(),
            reading: Reading::new(),
            tally: SumsTally::new(),
            tracker,
            coarsened: 0,
            slowest: Vec::new(),
            forgotten: 0,
        }
    }

    /// Takes in what has been recorded since the last time.
    pub(crate) fn fold(&mut self, shared: &Shared) {
        let now = self.now(shared).max(self.folded_at);
        let reading = shared.ticks().now(|| shared.clock().now());
        let unix_ms = shared.clock().unix_ms();
        let hours = *self
            .hours
            .get_or_insert_with(|| Hours::anchored(now, unix_ms));
        self.meet(shared);
        let decay = Decay::over(now - self.folded_at);
        let mut differences: Vec<Difference> = Vec::new();
        for code in &mut self.codes {
            let Some(series) = self.series.get_mut(code.series) else {
                continue;
            };
            let bounds = (series.total.min_nanos, series.total.max_nanos);
            let Some((ended, sums)) = code.difference(&mut self.reading, bounds) else {
                continue;
            };
            let ago = Duration::from_nanos(shared.ticks().nanos(ended, reading));
            let ended = now.saturating_sub(ago).max(self.folded_at);
            series.add(ended, &sums, code.is_by_head);
        }
        for series in &mut self.series {
            series.close(now, &hours, &decay, &mut differences);
        }
        self.take_slowest(shared, now, unix_ms, reading);
        self.folded_at = now;
        self.keep_bound();
        self.tracker.observe(now, &differences);
    }

    /// Takes the slowest requests of all threads.
    fn take_slowest(&mut self, shared: &Shared, now: Duration, unix_ms: u64, reading: u64) {
        let mut new: Vec<Vec<Candidate>> = vec![Vec::new(); self.routes.len()];
        for counters in self.slots.iter().flat_map(|view| &view.routes) {
            if let Some(new) = new.get_mut(usize::from(counters.route)) {
                self.forgotten += counters.slowest.take(new);
            }
        }
        self.slowest.resize_with(self.routes.len(), Arc::default);
        for (slowest, new) in self.slowest.iter_mut().zip(new) {
            if new.is_empty() {
                continue;
            }
            let new = new.into_iter().map(|candidate| {
                let ago = shared.ticks().nanos(candidate.measured.at, reading);
                Kept {
                    at: now.saturating_sub(Duration::from_nanos(ago)),
                    unix_ms: unix_ms.saturating_sub(ago / 1_000_000),
                    candidate,
                }
            });
            self.forgotten += Arc::make_mut(slowest).add(new, shared.exemplars());
        }
    }

    /// Series times the threads that met them.
    pub(crate) fn cells(&self) -> usize {
        self.slots.iter().map(|view| view.cells).sum()
    }

    /// How long ago the last fold was.
    pub(crate) fn age(&self, shared: &Shared) -> Duration {
        self.now(shared).saturating_sub(self.folded_at)
    }

    fn now(&self, shared: &Shared) -> Duration {
        shared.clock().now().saturating_sub(self.started)
    }

    /// Looks for new slots, routes, series and cells.
    fn meet(&mut self, shared: &Shared) {
        self.slots.extend(
            shared
                .slots()
                .after(self.slots.len())
                .into_iter()
                .map(|slot| View {
                    slot,
                    cells: 0,
                    routes: Vec::new(),
                }),
        );
        let mut cells = Vec::new();
        for view in &mut self.slots {
            let new = view.slot.cells_after(view.cells);
            view.cells += new.len();
            cells.extend(new);
            view.routes
                .extend(view.slot.routes_after(view.routes.len()));
        }
        // After the cells: a cell's series and a series' route were there before it.
        self.routes
            .extend(shared.registry().routes_after(self.routes.len()));
        for new in shared.registry().series_after(self.codes.len()) {
            let key = (new.route, new.id.method, new.id.class);
            let known = self.by_key.get(&key).copied();
            let series = known.unwrap_or_else(|| {
                let route = self.routes.get(usize::from(new.route)).cloned();
                self.series.push(Series::new(SeriesKey {
                    route: route.unwrap_or_default(),
                    method: new.id.method.as_str(),
                    class: new.id.class,
                }));
                self.series.len() - 1
            });
            self.by_key.insert(key, series);
            self.codes.push(Code::new(series, new.id));
        }
        for cell in cells {
            if let Some(code) = self.codes.get_mut(cell.series() as usize) {
                code.readers.push(Reader::new(cell));
            }
        }
    }

    /// What it keeps, and what the registry does.
    fn bytes(&self) -> usize {
        // Each label twice, here and where the registry is full, with four entries in lists and tables; each series and code with two.
        let labels = self.routes.iter().map(|label| 2 * label.len() + 192);
        let codes = self.codes.len() * (size_of::<Code>() + 96);
        let series = self.series.iter().map(|series| series.bytes() + 192);
        let slowest = self.slowest.iter().map(|slowest| slowest.bytes());
        codes + labels.chain(series).chain(slowest).sum::<usize>()
    }

    fn keep_bound(&mut self) {
        if self.bytes() <= LEDGER_BYTES {
            return;
        }
        self.coarsened += self.series.iter_mut().map(Series::coarsen).sum::<u64>();
        if self.bytes() > LEDGER_BYTES {
            self.coarsened += self.series.iter_mut().map(Series::forget).sum::<u64>();
        }
        if self.bytes() > LEDGER_BYTES {
            let slowest = self.slowest.iter_mut();
            self.forgotten += slowest
                .map(|slowest| Arc::make_mut(slowest).forget())
                .sum::<u64>();
        }
    }

    /// How all objectives stand, as of the last fold.
    pub(crate) fn objectives(&self) -> Vec<ObjectiveReport> {
        self.tracker.reports(self.folded_at)
    }
}
