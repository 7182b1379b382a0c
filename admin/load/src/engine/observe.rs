//! The target's own figures, on the time axis of the load.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::run::{Run, RunState};
use crate::plan::{PlanError, wrong};

/// The most names of a run: 32.
pub const MAX_FIGURES: usize = 32;
/// The longest name.
pub(crate) const MAX_NAME: usize = 64;
/// How often an observer is asked.
const EVERY: Duration = Duration::from_millis(250);

/// Knows figures of the target, such as its memory, its hit ratio or its database's activity.
///
/// It is asked four times a second, on a thread of its own: one that is slow is asked less often, and disturbs no request. A
/// closure is one.
pub trait Observer: Send + Sync + 'static {
    /// Tells what they are now.
    fn observe(&self, figures: &mut Figures);
}

impl<F: Fn(&mut Figures) + Send + Sync + 'static> Observer for F {
    fn observe(&self, figures: &mut Figures) {
        self(figures);
    }
}

/// Named numbers, as they are now.
#[derive(Debug, Default)]
pub struct Figures {
    pub(crate) told: Vec<(String, f64)>,
    pub(crate) dropped: u64,
}

impl Figures {
    /// Tells one. A name is 1 to 64 bytes, with its unit at its end, such as `memory_mb`; a run has at most [`MAX_FIGURES`] names.
    /// What is no finite number, has another name or one name too many is dropped and counted
    /// ([`Report::observed_dropped`](crate::Report::observed_dropped)).
    pub fn set(&mut self, name: &str, value: f64) {
        let is_right = (1..=MAX_NAME).contains(&name.len()) && value.is_finite();
        if is_right && self.told.len() < MAX_FIGURES {
            self.told.push((name.to_owned(), value));
        } else {
            self.dropped += 1;
        }
    }
}

impl Run {
    /// Asks the observer from now on until the run ends: what it tells is kept in each second as the mean of what was told in it
    /// ([`Interval::observed`](crate::Interval::observed)). Of a plan with scenarios the whole and each scenario may have one.
    ///
    /// # Errors
    /// [`PlanError`] when the run has an observer, or when no thread can be started.
    pub fn observe(&self, observer: impl Observer) -> Result<(), PlanError> {
        if !self.shared.claim_observer() {
            return wrong("observer", "is there already; a run has one");
        }
        let run = self.clone();
        let observer = Arc::new(observer);
        let started = std::thread::Builder::new()
            .name("pitcrew-observe".to_owned())
            .spawn(move || {
                while run.state() == RunState::Running {
                    let mut figures = Figures::default();
                    let asking = || observer.observe(&mut figures);
                    let is_broken = catch_unwind(AssertUnwindSafe(asking)).is_err();
                    figures.dropped += u64::from(is_broken);
                    run.shared.observed(&figures);
                    if is_broken {
                        return;
                    }
                    std::thread::sleep(EVERY);
                }
            });
        match started {
            Ok(_) => Ok(()),
            Err(error) => wrong("observer", format!("could not start its thread: {error}")),
        }
    }
}
