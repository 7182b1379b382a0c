//! The pacing thread: hands each arrival over when it is due, whatever the target does.
//!
//! A thread of its own that sleeps until the next moment is late by tens of microseconds; a timer of a runtime that is
//! busy with answers is late by a millisecond (`tokio::time` counts in those).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::arrivals::Arrivals;

/// Arrivals that wait for a thread to take them up. One that finds no place is missed: it is due, and never sent.
pub(crate) const MAX_BACKLOG: usize = 65_536;

/// A cancelled run is noticed so soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// What came of a plan's arrivals.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    /// That were due so far.
    pub(crate) due: AtomicU64,
    /// CPU time of the thread, in microseconds, once it has ended.
    pub(crate) cpu_us: AtomicU64,
}

/// Starts the thread. It ends with the last arrival, or when the run is cancelled; the receivers are closed then.
pub(crate) fn start(
    arrivals: Arrivals,
    begin: Instant,
    takers: Vec<mpsc::Sender<Instant>>,
    paced: Arc<Paced>,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("pitcrew-pace".to_owned())
        .spawn(move || {
            run(arrivals, begin, &takers, &paced, &cancel);
            let cpu = u64::try_from(super::thread::cpu().as_micros()).unwrap_or(0);
            paced.cpu_us.store(cpu, Relaxed);
        })
        .map(drop)
}

fn run(
    arrivals: Arrivals,
    begin: Instant,
    takers: &[mpsc::Sender<Instant>],
    paced: &Paced,
    cancel: &CancellationToken,
) {
    wake_on_time();
    let mut takers = takers.iter().cycle();
    for moment in arrivals {
        let intended = begin + Duration::from_secs_f64(moment);
        if !sleep_until(intended, cancel) {
            return;
        }
        paced.due.fetch_add(1, Relaxed);
        let Some(taker) = takers.next() else { return };
        match taker.try_send(intended) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            // The thread is gone: so is the run.
            Err(TrySendError::Closed(_)) => return,
        }
    }
}

/// Whether the moment has come; no when the run was cancelled before.
fn sleep_until(moment: Instant, cancel: &CancellationToken) -> bool {
    loop {
        if cancel.is_cancelled() {
            return false;
        }
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LONGEST_SLEEP));
    }
}

/// Linux lets a sleeping thread lie for 50 microseconds longer than it asked, to save wake-ups (prctl(2),
/// PR_SET_TIMERSLACK); this one asks for 1 nanosecond.
fn wake_on_time() {
    #[cfg(target_os = "linux")]
    // SAFETY: a setting of the calling thread alone, by value.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Curve, Part, Spacing, Stage};

    fn arrivals(rate_per_s: f64, duration_s: f64) -> Arrivals {
        let stages = [Stage {
            duration_s,
            rate_per_s,
            to_rate_per_s: None,
        }];
        Arrivals::new(Curve::new(&stages), Spacing::Even, 0, Part::WHOLE)
    }

    #[test]
    fn every_arrival_is_handed_over_in_turn_with_the_moment_it_was_due() {
        let begin = Instant::now();
        let (one, mut first) = mpsc::channel(1_000);
        let (two, mut second) = mpsc::channel(1_000);
        let paced = Arc::new(Paced::default());
        let cancel = CancellationToken::new();
        start(
            arrivals(10_000.0, 0.1),
            begin,
            vec![one, two],
            Arc::clone(&paced),
            cancel,
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let mut taken = Vec::new();
        while let Some(moment) = first.blocking_recv() {
            taken.push(moment);
            taken.extend(second.blocking_recv());
        }
        assert_eq!(taken.len(), 1_000);
        for (number, moment) in taken.iter().enumerate() {
            assert_eq!(
                *moment,
                begin + Duration::from_secs_f64(number as f64 / 10_000.0)
            );
        }
        assert_eq!(paced.due.load(Relaxed), 1_000);
    }

    #[test]
    fn what_finds_no_place_was_due_all_the_same() {
        let (taker, mut taken) = mpsc::channel(10);
        let paced = Paced::default();
        run(
            arrivals(100_000.0, 0.001),
            Instant::now(),
            &[taker],
            &paced,
            &CancellationToken::new(),
        );
        assert_eq!(paced.due.load(Relaxed), 100);
        let mut count = 0;
        while taken.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, 10);
    }

    #[test]
    fn a_cancelled_run_is_paced_no_further() {
        let (taker, mut taken) = mpsc::channel(10);
        let (paced, cancel) = (Paced::default(), CancellationToken::new());
        cancel.cancel();
        run(
            arrivals(1.0, 1e9),
            Instant::now(),
            &[taker],
            &paced,
            &cancel,
        );
        assert!(taken.try_recv().is_err());
        assert_eq!(paced.due.load(Relaxed), 0);
    }
}
