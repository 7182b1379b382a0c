//! Taking a sample, and what comes of it: whom the guard refuses, and when memory is given back.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{
    allocator,
    guard::InUse,
    leak::Observation,
    sampler::{Sample, Sampler},
    shared::{Shared, State, lock},
    snapshot::AllocatorMemory,
    trend::Sampled,
};

/// What the sampler found has to be done, beside the sampling.
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
    /// Takes a sample, and says what has to be done about it. What the guard and the releases make of it is left to the sampler of
    /// that number: nobody would take it back where somebody else looks.
    pub(super) fn sample(&self, sampler: Option<u64>) -> Option<Relief> {
        let (relief, told) = self.sample_locked(sampler);
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

    fn sample_locked(&self, by: Option<u64>) -> (Option<Relief>, Option<Told>) {
        let mut state = lock(&self.state);
        // One whose place was taken, or that was told to stop.
        if by.is_some_and(|number| !self.worker.is_current(number)) {
            return (None, None);
        }
        let state = &mut *state;
        let root = &self.root;
        let sampler = state.sampler.get_or_insert_with(|| Sampler::new(root));
        let now = self.clock.now();
        // A panic inside `sysinfo` costs one sample, never the thread.
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
        let unix_ms = self.clock.unix_ms();
        if let Some(rss_bytes) = sample.process.rss_bytes {
            state.trend.push(&Sampled {
                at: now,
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
                requests: self.requests.sum(),
            });
            if is_judged && self.counting {
                let routes = &self.routes;
                state.suspects.note(now, || routes.kept());
            }
        }
        let (mut relief, mut told) = (None, None);
        if by.is_some() {
            self.sampled(now);
            told = self.refuse(state, &sample).map(Told::Refusing);
            relief = self.relief(state, &sample, &allocator, now);
        }
        state.last = Some((unix_ms, sample, allocator));
        (relief, told)
    }

    /// Sees how the guard stands, and whom it refuses. Answers whether it does, where that has changed.
    fn refuse(&self, state: &mut State, sample: &Sample) -> Option<bool> {
        let guard = self.guard.as_ref()?;
        state.pressed = state.pressed.next(&guard.limits, &InUse::of(sample));
        let refusing = state.pressed.hard;
        let share = if refusing { guard.shed_share } else { 0.0 };
        self.attention.set_share(share).then_some(refusing)
    }

    fn relief(
        &self,
        state: &mut State,
        sample: &Sample,
        allocator: &AllocatorMemory,
        now: Duration,
    ) -> Option<Relief> {
        let rss = sample.process.rss_bytes;
        let relief = if state.pressed.soft {
            state.pauses.is_over(now).then_some(Relief::Shrink)
        } else {
            self.release_above
                // What is not known for free is looked at in the background.
                .filter(|threshold| {
                    let free = allocator.free_resident_bytes;
                    free.is_none_or(|free| free >= *threshold)
                        && state.pauses.is_release_due(now, *threshold, rss)
                })
                .map(|_| Relief::Release)
        };
        if relief.is_none() || self.releasing.swap(true, Ordering::AcqRel) {
            return None;
        }
        state.pauses.begin(now);
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
            Relief::Release if self.is_below_threshold() => return,
            Relief::Release => Vec::new(),
        };
        let mut report = self.release();
        report.shrunk = shrunk;
        if let (Relief::Release, Some(threshold)) = (relief, self.release_above) {
            let mut state = lock(&self.state);
            let (released, after) = (report.released_bytes, report.after_bytes);
            state.pauses.gave(threshold, released, after);
        }
        // Who sees the count finds the report.
        self.released(report);
        self.automatic_releases.fetch_add(1, Ordering::Release);
    }

    /// Whether less is free than is worth a release. Where nobody tells that for free it is asked for here.
    fn is_below_threshold(&self) -> bool {
        let last = lock(&self.state).last.clone();
        let (rss, free) = last.map_or((None, None), |(_, sample, allocator)| {
            (sample.process.rss_bytes, allocator.free_resident_bytes)
        });
        let free = free.or_else(|| self.allocator.free_bytes_slowly(rss));
        self.release_above
            .is_none_or(|threshold| free.is_none_or(|free| free < threshold))
    }
}
