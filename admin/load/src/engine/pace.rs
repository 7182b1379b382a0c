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

use crate::plan::Due;

/// Arrivals that wait for a thread to take them up. One that finds no place is missed: it is due, and never sent.
pub(crate) const MAX_BACKLOG: usize = 65_536;

/// A cancelled run is noticed so soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// What came of a plan's arrivals.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    /// That were due so far.
    pub(crate) due: AtomicU64,
    /// The rate that was asked for while it runs, as the bits of an `f64`; 0 where none was, or the thread has seen it.
    pub(crate) asked_rate: AtomicU64,
    /// CPU time of the thread that nobody has counted yet, in nanoseconds.
    cpu_ns: AtomicU64,
}

impl Paced {
    /// Takes the thread's CPU time since it was last taken.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.swap(0, Relaxed))
    }
}

/// CPU time of the calling thread, told as it goes on and at its end.
struct OwnCpu<'a> {
    paced: &'a Paced,
    told: Duration,
    next: Instant,
}

/// So often it is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl<'a> OwnCpu<'a> {
    fn new(paced: &'a Paced) -> Self {
        Self {
            paced,
            told: Duration::ZERO,
            next: Instant::now(),
        }
    }

    fn tell_when_due(&mut self) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + TELL_EVERY;
            self.tell();
        }
    }

    fn tell(&mut self) {
        let cpu = super::thread::cpu();
        let since = cpu.saturating_sub(self.told).as_nanos();
        self.told = cpu;
        let since = u64::try_from(since).unwrap_or(0);
        self.paced.cpu_ns.fetch_add(since, Relaxed);
    }
}

impl Drop for OwnCpu<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Starts the thread. It ends with the last stage, or when the run is cancelled; the receivers are closed then.
pub(crate) fn start(
    due: Due,
    begin: Instant,
    takers: Vec<mpsc::Sender<Instant>>,
    paced: Arc<Paced>,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("pitcrew-pace".to_owned())
        .spawn(move || {
            run(&due, begin, &takers, &paced, &cancel);
        })
        .map(drop)
}

fn run(
    due: &Due,
    begin: Instant,
    takers: &[mpsc::Sender<Instant>],
    paced: &Paced,
    cancel: &CancellationToken,
) {
    wake_on_time();
    let mut cpu = OwnCpu::new(paced);
    let mut takers = takers.iter().cycle();
    let (mut arrivals, mut from_s) = (due.arrivals(), 0.0);
    // Stages last as long as they say, also where nothing more is due in them: the rate is that of the whole time.
    let end = begin + Duration::from_secs_f64(due.length_s());
    loop {
        let arrival = arrivals
            .next()
            .map(|moment| begin + Duration::from_secs_f64(from_s + moment));
        let intended = arrival.unwrap_or(end);
        cpu.tell_when_due();
        match sleep_until(intended, paced, cancel) {
            Woken::OnTime if arrival.is_none() => return,
            Woken::OnTime => {}
            Woken::Cancelled => return,
            Woken::Asked(rate_per_s) => {
                from_s = begin.elapsed().as_secs_f64();
                arrivals = due.rest(from_s, rate_per_s);
                continue;
            }
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

/// Why a sleep has ended.
enum Woken {
    OnTime,
    Cancelled,
    /// Another rate was asked for before its time.
    Asked(f64),
}

fn sleep_until(moment: Instant, paced: &Paced, cancel: &CancellationToken) -> Woken {
    loop {
        if cancel.is_cancelled() {
            return Woken::Cancelled;
        }
        if paced.asked_rate.load(Relaxed) != 0 {
            return Woken::Asked(f64::from_bits(paced.asked_rate.swap(0, Relaxed)));
        }
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Woken::OnTime;
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
    use crate::arrivals::{Spacing, Stage};
    use crate::plan::Open;

    fn arrivals(rate_per_s: f64, duration_s: f64) -> Due {
        Due::whole(Open {
            stages: vec![Stage {
                duration_s,
                rate_per_s,
                to_rate_per_s: None,
            }],
            spacing: Spacing::Even,
            seed: 0,
        })
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
            &arrivals(100_000.0, 0.001),
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
            &arrivals(1.0, 1e9),
            Instant::now(),
            &[taker],
            &paced,
            &cancel,
        );
        assert!(taken.try_recv().is_err());
        assert_eq!(paced.due.load(Relaxed), 0);
    }

    #[test]
    fn another_rate_holds_from_when_it_is_asked_for_to_the_plans_end() {
        let (taker, mut taken) = mpsc::channel(1_000);
        let paced = Paced::default();
        // One arrival, at once, and then none for as long as it lasts.
        let due = arrivals(1.0, 0.9);
        paced.asked_rate.store(1_000_f64.to_bits(), Relaxed);
        let begin = Instant::now();
        run(&due, begin, &[taker], &paced, &CancellationToken::new());
        let mut moments = Vec::new();
        while let Ok(moment) = taken.try_recv() {
            moments.push(moment);
        }
        // As many as fit between the change and the end.
        assert!((1..=900).contains(&moments.len()), "{}", moments.len());
        assert_eq!(paced.due.load(Relaxed), moments.len() as u64);
        for pair in moments.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(gap.abs_diff(Duration::from_millis(1)) < Duration::from_micros(1));
        }
        let last = *moments.last().expect("one at least");
        let end = begin + Duration::from_millis(900);
        assert!(end.saturating_duration_since(last) <= Duration::from_micros(1_001));
        assert!(last <= end);
    }
}
