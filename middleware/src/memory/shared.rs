//! What a layer, its services, its sampler task and its handle share.

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    allocator,
    guard::{Checked, GuardStatus, Pressed, Refusal},
    leak::{LeakDetector, LeakReport, Observation, Suspects},
    release::{self, Allocator, ReleaseReport},
    routes::Routes,
    sampler::{Sample, Sampler},
    settings::Settings,
    shrink::Shrinks,
    snapshot::{AllocatorMemory, MemorySnapshot, MemoryTrend},
    striped::Striped,
    task::Task,
    trend::{Sampled, Trend},
};
use crate::{
    clock::{Clock, millis},
    route::Labeler,
};

/// In [`Shared::attention`]: no sampler runs, and one should.
pub(super) const START: u32 = 1;
/// The share of requests to refuse stands in the upper bits, in 65,535ths.
const SHED_SHIFT: u32 = 16;
/// Intervals without a sample after which nobody is refused any more, and their least, in milliseconds.
const STALE: u32 = 8;
const STALE_LEAST_MS: u64 = 1_000;

pub(super) struct Shared {
    /// Zero while there is nothing to do for a request but to count it: the one word that the request path reads.
    attention: AtomicU32,
    pub(super) requests: Striped,
    pub(super) counting: bool,
    pub(super) labeler: Labeler,
    pub(super) routes: Routes,
    pub(super) interval: Duration,
    pub(super) clock: Clock,
    root: PathBuf,
    allocator: Allocator,
    guard: Option<Checked>,
    release_above: Option<u64>,
    release_pause: Duration,
    state: Mutex<State>,
    pub(super) shrinks: Shrinks,
    pub(super) task: Task,
    /// Requests that the guard has looked at while it refused some, and those it refused.
    looked_at: AtomicU32,
    refused: AtomicU64,
    errors: AtomicU64,
    pub(super) panics: AtomicU64,
    /// When the last sample was taken, in milliseconds of the clock.
    sampled_at: AtomicU64,
    automatic_releases: AtomicU64,
    /// Whether a release that the sampler asked for is under way.
    releasing: AtomicBool,
}

struct State {
    sampler: Option<Sampler>,
    last: Option<(u64, Sample, AllocatorMemory)>,
    trend: Trend,
    leak: LeakDetector,
    suspects: Suspects,
    pressed: Pressed,
    last_release: Option<ReleaseReport>,
    /// When the sampler last asked for a release.
    relieved: Option<Duration>,
}

/// What the sampler found has to be done, off the async threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Relief {
    /// Caches shrink, then free memory goes back.
    Shrink,
    /// Free memory goes back if there is more than the threshold.
    Release,
}

/// What a sample has to log.
#[derive(Clone, Copy, Debug)]
enum Told {
    Panic,
    Refusing(bool),
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            attention: AtomicU32::new(START),
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
            release_pause: settings.release_pause,
            state: Mutex::new(State {
                sampler: None,
                last: None,
                trend: Trend::default(),
                leak: LeakDetector::new(),
                suspects: Suspects::default(),
                pressed: Pressed::default(),
                last_release: None,
                relieved: None,
            }),
            shrinks: Shrinks::default(),
            task: Task::default(),
            looked_at: AtomicU32::new(0),
            sampled_at: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            automatic_releases: AtomicU64::new(0),
            releasing: AtomicBool::new(false),
        }
    }

    /// Whether a request needs nothing but counting: no sampler to start, nothing to refuse.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.attention.load(Ordering::Relaxed) == 0
    }

    /// Starts the sampler where none runs, and says whether the guard refuses this request.
    #[cold]
    pub(super) fn attend(self: &Arc<Self>, path: &str) -> Option<Refusal> {
        let attention = self.attention.load(Ordering::Acquire);
        if attention & START != 0 {
            super::task::start(self);
        }
        let share = attention >> SHED_SHIFT;
        let guard = self.guard.as_ref()?;
        if share == 0 || guard.exempt.has(path) || self.is_stale() {
            return None;
        }
        // Multiples of the golden ratio lie evenly, so of any few requests in a row close to the share is refused.
        let turn = self.looked_at.fetch_add(1, Ordering::Relaxed);
        if turn.wrapping_mul(0x9e37_79b9) >> SHED_SHIFT >= share {
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Some(guard.refusal)
    }

    /// Whether nobody has looked for [`STALE`] intervals: the sampler's runtime may be there and not be driven, and what was seen
    /// then refuses nobody now.
    fn is_stale(&self) -> bool {
        let age = millis(self.clock.now()).saturating_sub(self.sampled_at.load(Ordering::Acquire));
        age > millis(self.interval.saturating_mul(STALE)).max(STALE_LEAST_MS)
    }

    /// Marks that a sampler runs, or that none will be started. Answers whether it was this call that did.
    pub(super) fn claim_start(&self) -> bool {
        self.attention.fetch_and(!START, Ordering::AcqRel) & START != 0
    }

    /// A sampler has ended. Nobody is refused for what is not looked at any longer.
    pub(super) fn ended(&self, start_again: bool) {
        let attention = if start_again { START } else { 0 };
        self.attention.store(attention, Ordering::Release);
        // A release that was asked for may have been dropped with the runtime.
        self.releasing.store(false, Ordering::Release);
        lock(&self.state).pressed.hard = false;
    }

    /// Takes a sample, and says what has to be done about it. With `relieve` unset that is left to a sampler that runs.
    pub(super) fn sample(&self, relieve: bool) -> Option<Relief> {
        let (relief, told) = self.sample_locked(relieve);
        // Not under the lock: whoever takes in the event may ask for a snapshot.
        match told {
            Some(Told::Panic) => {
                tracing::warn!(target: "pitcrew::memory", "the memory sampler panicked; it goes on with a new one");
            }
            Some(Told::Refusing(refusing)) => {
                tracing::warn!(target: "pitcrew::memory", refusing, "the guard's hard limit");
            }
            None => {}
        }
        relief
    }

    fn sample_locked(&self, relieve: bool) -> (Option<Relief>, Option<Told>) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let root = &self.root;
        let sampler = state.sampler.get_or_insert_with(|| Sampler::new(root));
        let now = self.clock.now();
        // A panic inside `sysinfo` costs one sample, never the task.
        let taken = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let sample = sampler.sample(now);
            let counted = self.counting.then(allocator::live_bytes);
            let figures = self.allocator.figures(sample.process.rss_bytes, counted);
            (sample, figures)
        }));
        let Ok((sample, allocator)) = taken else {
            state.sampler = None;
            self.errors.fetch_add(1, Ordering::Relaxed);
            self.panics.fetch_add(1, Ordering::Relaxed);
            return (None, Some(Told::Panic));
        };
        self.sampled_at.store(millis(now), Ordering::Release);
        let unix_ms = self.clock.unix_ms();
        let requests = self.requests.sum();
        if let Some(rss_bytes) = sample.process.rss_bytes {
            state.trend.push(&Sampled {
                unix_ms,
                rss_bytes,
                live_bytes: allocator.live_bytes,
                cpu_percent: sample.process.cpu_percent,
            });
        } else {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(bytes) = allocator.live_bytes.or(sample.process.rss_bytes) {
            let is_judged = state.leak.observe(Observation {
                at: now,
                bytes,
                requests,
            });
            if is_judged && self.counting {
                let routes = &self.routes;
                state.suspects.note(now, || routes.kept());
            }
        }
        let told = self.refuse(state, &sample).map(Told::Refusing);
        let relief = self.relief(state, &allocator, now, relieve);
        state.last = Some((unix_ms, sample, allocator));
        (relief, told)
    }

    /// Sees how the guard stands and, where a sampler runs that will take it back, whom it refuses. Answers whether it does, where that
    /// has changed.
    fn refuse(&self, state: &mut State, sample: &Sample) -> Option<bool> {
        let guard = self.guard.as_ref()?;
        let working_set = sample.cgroup.and_then(|cgroup| cgroup.working_set_bytes);
        let pressed = state.pressed;
        state.pressed = pressed.next(&guard.limits, working_set, sample.process.rss_bytes);
        let refusing = state.pressed.hard;
        let was = self.attention.load(Ordering::Acquire) >> SHED_SHIFT != 0;
        if refusing == was || !self.task.is_running() {
            return None;
        }
        let share = (guard.shed_share * f64::from(u16::MAX)).ceil() as u32;
        let share = if refusing { share.max(1) } else { 0 };
        let replaced = |attention| Some(attention & START | share << SHED_SHIFT);
        let _ = self
            .attention
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, replaced);
        Some(refusing)
    }

    fn relief(
        &self,
        state: &mut State,
        allocator: &AllocatorMemory,
        now: Duration,
        relieve: bool,
    ) -> Option<Relief> {
        let mut relief = state.pressed.soft.then_some(Relief::Shrink);
        if relief.is_none()
            && let Some(threshold) = self.release_above
            // What is not known for free is looked at in the background.
            && allocator.free_resident_bytes.is_none_or(|free| free >= threshold)
        {
            relief = Some(Relief::Release);
        }
        let is_due = state
            .relieved
            .is_none_or(|then| now.saturating_sub(then) >= self.release_pause);
        if relief.is_none() || !relieve || !is_due || self.releasing.swap(true, Ordering::AcqRel) {
            return None;
        }
        state.relieved = Some(now);
        relief
    }

    /// Does what [`Self::sample`] asked for. Blocks.
    pub(super) fn relieve(&self, relief: Relief) {
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        let _done = Done(&self.releasing);
        let shrunk = match relief {
            Relief::Shrink => self.shrink(super::shrink::SOFT_SHRINK_SHARE),
            Relief::Release => {
                // Where nobody tells for free it is asked for here.
                let free = lock(&self.state)
                    .last
                    .as_ref()
                    .and_then(|last| last.2.free_resident_bytes);
                let free = free.or_else(|| self.allocator.free_bytes_slowly());
                if self
                    .release_above
                    .is_none_or(|threshold| free.is_none_or(|free| free < threshold))
                {
                    return;
                }
                Vec::new()
            }
        };
        let mut report = self.release();
        report.shrunk = shrunk;
        // Who sees the count finds the report.
        self.released(report);
        self.automatic_releases.fetch_add(1, Ordering::Release);
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

    /// The last sample. Without a running task that may be hours old: then a fresh one is the honest answer.
    pub(super) fn snapshot(&self) -> MemorySnapshot {
        let is_sampled = lock(&self.state).last.is_some();
        if !is_sampled || !self.task.is_running() || self.is_stale() {
            self.sample(false);
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
        let sample = state.last.as_ref().map(|last| &last.1);
        let used = if guard.limits.soft_by_group {
            sample
                .and_then(|sample| sample.cgroup)
                .and_then(|cgroup| cgroup.working_set_bytes)
        } else {
            sample.and_then(|sample| sample.process.rss_bytes)
        };
        let refused = self.refused.load(Ordering::Relaxed);
        Some(GuardStatus::new(
            &guard.limits,
            state.pressed,
            used,
            refused,
        ))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
