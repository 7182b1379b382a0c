//! What a layer, its services, its sampler and its handle share.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    allocator,
    attention::{Attention, is_in_share},
    guard::{Checked, GuardStatus, InUse, Pressed, Refusal},
    leak::{LeakDetector, LeakReport, Suspects},
    pauses::Pauses,
    release::{self, Allocator, ReleaseReport},
    routes::Routes,
    sampler::{Sample, Sampler},
    settings::Settings,
    shrink::Shrinks,
    snapshot::{AllocatorMemory, MemorySnapshot, MemoryTrend},
    striped::Striped,
    trend::Trend,
    worker::{self, Worker},
};
use crate::{
    clock::{Clock, millis},
    route::Labeler,
};

/// Intervals without a sample after which nobody is refused any more, ...
const LATE_INTERVALS: u32 = 3;
/// ... and their least: on a busy machine it may be late.
const LATE_LEAST: Duration = Duration::from_secs(2);

pub(super) struct Shared {
    /// The one word that the request path reads.
    pub(super) attention: Attention,
    pub(super) requests: Striped,
    pub(super) counting: bool,
    pub(super) labeler: Labeler,
    pub(super) routes: Routes,
    pub(super) interval: Duration,
    pub(super) clock: Clock,
    pub(super) root: PathBuf,
    pub(super) allocator: Allocator,
    pub(super) guard: Option<Checked>,
    pub(super) release_above: Option<u64>,
    pub(super) state: Mutex<State>,
    /// The last release that was asked for by hand, and its number; held while one runs.
    pub(super) asked: Arc<tokio::sync::Mutex<(u64, ReleaseReport)>>,
    /// Releases asked for by hand that have begun.
    pub(super) begun: AtomicU64,
    pub(super) shrinks: Shrinks,
    pub(super) worker: Worker,
    /// Requests that the guard has looked at while it refused some, and those it refused.
    looked_at: AtomicU32,
    refused: AtomicU64,
    /// When the sampler last looked, in nanoseconds of the clock.
    sampled_at: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) automatic_releases: AtomicU64,
    /// Whether a release that the sampler asked for is under way.
    pub(super) releasing: AtomicBool,
}

pub(super) struct State {
    pub(super) sampler: Option<Sampler>,
    pub(super) last: Option<(u64, Sample, AllocatorMemory)>,
    pub(super) trend: Trend,
    pub(super) leak: LeakDetector,
    pub(super) suspects: Suspects,
    pub(super) pressed: Pressed,
    pub(super) last_release: Option<ReleaseReport>,
    pub(super) pauses: Pauses,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            attention: Attention::new(),
            requests: Striped::default(),
            counting: allocator::is_counting(),
            labeler: settings.labeler,
            routes: Routes::new(settings.max_routes),
            interval: settings.interval,
            clock: settings.clock,
            root: settings.root,
            allocator: Allocator::find(),
            guard: settings.guard,
            release_above: settings.release_above,
            state: Mutex::new(State {
                sampler: None,
                last: None,
                trend: Trend::default(),
                leak: LeakDetector::new(),
                suspects: Suspects::default(),
                pressed: Pressed::default(),
                last_release: None,
                pauses: Pauses::new(settings.release_pause),
            }),
            asked: Arc::default(),
            begun: AtomicU64::new(0),
            shrinks: Shrinks::default(),
            worker: Worker::default(),
            looked_at: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            sampled_at: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            automatic_releases: AtomicU64::new(0),
            releasing: AtomicBool::new(false),
        }
    }

    /// Starts the sampler where none runs, and says whether the guard refuses this request.
    #[cold]
    pub(super) fn attend(self: &Arc<Self>, path: &str) -> Option<Refusal> {
        let share = self.attention.share();
        if share > 0 && self.is_late() {
            self.start_over();
        }
        if self.attention.wants_start() {
            worker::start(self);
        }
        let share = share.min(self.attention.share());
        let guard = self.guard.as_ref()?;
        if share == 0 || guard.exempt.has(path) {
            return None;
        }
        let turn = self.looked_at.fetch_add(1, Ordering::Relaxed);
        if !is_in_share(turn, share) {
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Some(guard.refusal)
    }

    /// Whether the sampler has not looked for [`LATE_INTERVALS`]: a fork's child has no threads but one, and what was seen before
    /// refuses nobody now.
    fn is_late(&self) -> bool {
        self.sampler_age() > (self.interval * LATE_INTERVALS).max(LATE_LEAST)
    }

    /// Since the sampler last looked.
    fn sampler_age(&self) -> Duration {
        let then = Duration::from_nanos(self.sampled_at.load(Ordering::Acquire));
        self.clock.now().saturating_sub(then)
    }

    /// Whether a sampler runs, and has looked of late.
    fn is_attended(&self) -> bool {
        self.worker.is_running() && !self.is_late()
    }

    /// Refuses nobody until a new sampler has looked, which the next request starts.
    fn start_over(&self) {
        self.attention.reset(!self.worker.is_stopped());
    }

    /// A sampler begins to look.
    pub(super) fn begins(&self) {
        self.sampled(self.clock.now());
    }

    pub(super) fn sampled(&self, now: Duration) {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.sampled_at.store(nanos, Ordering::Release);
    }

    /// A sampler has ended. Nobody is refused for what is not looked at any longer.
    pub(super) fn ended(&self) {
        let mut state = lock(&self.state);
        state.pressed.hard = false;
        // Under the lock, so that no sample which is under way has the last word.
        self.start_over();
    }

    /// Asks caches to give back a share of what they hold. Blocks.
    pub(super) fn shrink(&self, share: f64) -> Vec<release::ShrinkReport> {
        self.shrinks.run(share, || {
            self.panics.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Gives free memory back. Blocks.
    pub(super) fn release(&self) -> ReleaseReport {
        let mut sampler = Sampler::new(&self.root);
        let rss = std::cell::RefCell::new(&mut sampler);
        release::release(|| rss.borrow_mut().rss().ok())
    }

    pub(super) fn released(&self, report: ReleaseReport) {
        lock(&self.state).last_release = Some(report);
    }

    /// The last sample. Without a sampler that looks that may be hours old: then a fresh one is the honest answer.
    pub(super) fn snapshot(&self) -> MemorySnapshot {
        let is_sampled = lock(&self.state).last.is_some();
        if !is_sampled || !self.is_attended() {
            self.sample(None);
        }
        // Its thread is stuck, or could not be had.
        if self.worker.has_begun() && !self.is_attended() {
            self.start_over();
        }
        let automatic_releases = self.automatic_releases.load(Ordering::Acquire);
        let state = lock(&self.state);
        let (sampled_unix_ms, sample, allocator) = state.last.clone().unwrap_or_default();
        let leak = self.leak(&state);
        MemorySnapshot {
            process: sample.process,
            system: sample.system,
            cgroup: sample.cgroup,
            allocator,
            trend: state.trend.seconds(),
            routes: if self.counting {
                self.routes.snapshot()
            } else {
                Vec::new()
            },
            dropped_routes: self.routes.dropped(),
            counting: self.counting,
            requests: self.requests.sum(),
            leak,
            guard: self.guard_status(&state),
            last_release: state.last_release.clone(),
            automatic_releases,
            unknown: sample.unknown,
            sampled_unix_ms,
            sampler_age_ms: self.worker.has_begun().then(|| millis(self.sampler_age())),
            sample_errors: self.errors.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
        }
    }

    pub(super) fn rss_bytes(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        let sampler = state
            .sampler
            .get_or_insert_with(|| Sampler::new(&self.root));
        sampler.rss().ok()
    }

    pub(super) fn trend(&self) -> MemoryTrend {
        lock(&self.state).trend.all()
    }

    pub(super) fn leak_report(&self) -> LeakReport {
        self.leak(&lock(&self.state))
    }

    fn leak(&self, state: &State) -> LeakReport {
        let verdict = state.leak.verdict();
        let last = state.last.as_ref();
        let group = last
            .and_then(|last| last.1.cgroup)
            .and_then(|cgroup| cgroup.limit_bytes);
        let machine = last.and_then(|last| last.1.system.total_bytes);
        let limit = match (group, machine) {
            (Some(group), Some(machine)) => Some(group.min(machine)),
            (group, machine) => group.or(machine),
        };
        let rss = last.and_then(|last| last.1.process.rss_bytes);
        let source = last.map_or("none", |last| match last.2.live_source {
            "none" => "rss",
            source => source,
        });
        let suspects = state.suspects.over(verdict, |id| self.routes.name(id));
        LeakReport::new(verdict, source, limit, rss, suspects)
    }

    fn guard_status(&self, state: &State) -> Option<GuardStatus> {
        let guard = self.guard.as_ref()?;
        let now = state.last.as_ref().map(|last| InUse::of(&last.1));
        Some(GuardStatus::new(
            &guard.limits,
            state.pressed,
            &now.unwrap_or_default(),
            self.is_attended(),
            self.refused.load(Ordering::Relaxed),
        ))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
