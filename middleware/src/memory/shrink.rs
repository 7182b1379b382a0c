//! Callbacks of caches that can give memory back.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use thiserror::Error;

use super::release::ShrinkReport;

/// Callbacks at most.
pub const MAX_SHRINKS: usize = 64;
/// The share of what it holds that a cache is asked for when the guard's soft limit is passed.
pub const SOFT_SHRINK_SHARE: f64 = 0.5;

/// Given the share, above 0 and at most 1, of what a cache holds that it shall give back; answers the bytes that it gave.
pub(super) type ShrinkFn = dyn Fn(f64) -> u64 + Send + Sync;

/// Why a callback was not registered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShrinkError {
    /// There are as many as are kept.
    #[error(
        "there are {MAX_SHRINKS} shrink callbacks already: register one for several caches together"
    )]
    TooMany,
}

#[derive(Default)]
pub(super) struct Shrinks(Mutex<Vec<(String, Arc<ShrinkFn>)>>);

impl Shrinks {
    /// A second of one name replaces the first.
    pub(super) fn add(&self, name: &str, shrink: Arc<ShrinkFn>) -> Result<(), ShrinkError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter_mut().find(|(known, _)| known == name) {
            known.1 = shrink;
            return Ok(());
        }
        if all.len() >= MAX_SHRINKS {
            return Err(ShrinkError::TooMany);
        }
        all.push((name.to_owned(), shrink));
        Ok(())
    }

    /// Asks all; not under the lock, as they are somebody else's code. `panicked` is told of each that does.
    pub(super) fn run(&self, share: f64, panicked: impl Fn()) -> Vec<ShrinkReport> {
        let all = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let asked = all.into_iter().map(|(name, shrink)| {
            let bytes = std::panic::catch_unwind(AssertUnwindSafe(|| shrink(share))).ok();
            if bytes.is_none() {
                panicked();
                tracing::warn!(target: "pitcrew::memory", name, "a shrink callback panicked");
            }
            ShrinkReport::new(&name, bytes)
        });
        asked.collect()
    }
}

impl fmt::Debug for Shrinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shrinks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn callbacks_are_bounded_named_once_and_a_panic_stops_none_of_the_others() {
        let shrinks = Shrinks::default();
        shrinks
            .add("a", Arc::new(|_| panic!("of the app")))
            .unwrap();
        shrinks.add("b", Arc::new(|_| 1)).unwrap();
        shrinks
            .add("b", Arc::new(|share| (share * 100.0) as u64))
            .unwrap();
        let panics = AtomicUsize::new(0);
        let reports = shrinks.run(0.5, || {
            panics.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(
            reports,
            [
                ShrinkReport::new("a", None),
                ShrinkReport::new("b", Some(50))
            ]
        );
        assert_eq!(panics.into_inner(), 1);
        for n in 2..MAX_SHRINKS {
            shrinks.add(&n.to_string(), Arc::new(|_| 0)).unwrap();
        }
        assert_eq!(
            shrinks.add("more", Arc::new(|_| 0)),
            Err(ShrinkError::TooMany)
        );
        assert_eq!(shrinks.add("a", Arc::new(|_| 0)), Ok(()));
    }
}
