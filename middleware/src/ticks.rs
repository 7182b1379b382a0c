//! [`Ticks`]: differences of time by the cheapest clock that can be trusted.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::clock::Clock;

/// Differences of time for a path where each clock reading counts: which source a reading comes from. A byte that is copied
/// with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticks {
    /// The processor's time-stamp counter, calibrated once a process.
    Counter,
    /// The operating system's monotonic clock.
    Monotonic,
    /// A manual clock, which has to be found.
    Manual,
}

static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();

/// Nanoseconds in 2^32 of the counter's steps, which is `quanta`'s own scale to the tenth digit: set before a reading is taken.
static SCALE: AtomicU64 = AtomicU64::new(0);

const SCALE_BITS: u32 = 32;

static ANCHOR: OnceLock<Instant> = OnceLock::new();

static LOSS: Loss = Loss::new();

/// The kernel gave the counter up while the process ran. Readings go on from where it was then, in its own steps but by the
/// operating system's clock, so that earlier readings and later ones still make a difference.
struct Loss {
    has_happened: AtomicBool,
    from: OnceLock<(u64, Instant)>,
}

impl Loss {
    const fn new() -> Self {
        Self {
            has_happened: AtomicBool::new(false),
            from: OnceLock::new(),
        }
    }

    fn happens(&self) {
        self.from.get_or_init(|| (counter(), Instant::now()));
        self.has_happened.store(true, Ordering::Release);
    }

    #[inline]
    fn reading(&self) -> u64 {
        // Who sees it late reads the counter once more.
        if self.has_happened.load(Ordering::Acquire) {
            return self.after();
        }
        counter()
    }

    #[cold]
    fn after(&self) -> u64 {
        let scale = SCALE.load(Ordering::Relaxed).max(1);
        self.from.get().map_or_else(counter, |(base, at)| {
            let steps = (at.elapsed().as_nanos() << SCALE_BITS) / u128::from(scale);
            base.saturating_add(u64::try_from(steps).unwrap_or(u64::MAX))
        })
    }
}

impl Ticks {
    /// The counter where `clock` is the machine's and the counter can be trusted, else what `clock` itself is made of.
    pub(crate) fn of(clock: &Clock) -> Self {
        static IS_TRUSTED: OnceLock<bool> = OnceLock::new();
        if clock.is_manual() {
            Self::Manual
        } else if *IS_TRUSTED.get_or_init(is_counter_trusted) {
            let counter = COUNTER.get_or_init(quanta::Clock::new);
            let scale = counter.delta_as_nanos(0, 1 << SCALE_BITS);
            SCALE.store(scale, Ordering::Relaxed);
            Self::Counter
        } else {
            ANCHOR.get_or_init(Instant::now);
            Self::Monotonic
        }
    }

    /// A reading: only [`nanos`](Self::nanos) between two of one source means anything. `manual` finds a manual clock.
    #[inline]
    pub(crate) fn now(self, manual: impl FnOnce() -> Duration) -> u64 {
        if self == Self::Counter {
            return LOSS.reading();
        }
        self.slow(manual)
    }

    /// Asks the kernel again whether it keeps its own time by the counter: it watches on, and gives it up for good when it
    /// strays. What reads a file of the kernel is not for the path of a request.
    pub(crate) fn ask_again(self) {
        if self == Self::Counter
            && !LOSS.has_happened.load(Ordering::Relaxed)
            && does_kernel_trust_counter() == Some(false)
        {
            LOSS.happens();
            tracing::warn!(
                "the kernel no longer trusts the processor's counter: latency is taken by its own clock from now on"
            );
        }
    }

    #[cold]
    fn slow(self, manual: impl FnOnce() -> Duration) -> u64 {
        let time = match (self, ANCHOR.get()) {
            (Self::Manual, _) => manual(),
            (_, Some(anchor)) => anchor.elapsed(),
            _ => Duration::ZERO,
        };
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds from one reading to another; 0 where it is not later.
    #[inline]
    pub(crate) fn nanos(self, from: u64, to: u64) -> u64 {
        let ticks = to.saturating_sub(from);
        if self == Self::Counter {
            let scale = u128::from(SCALE.load(Ordering::Relaxed));
            return ((u128::from(ticks) * scale) >> SCALE_BITS) as u64;
        }
        ticks
    }
}

/// The counter's reading, as `quanta` reads it; on its own path there it costs three times as much.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline]
fn counter() -> u64 {
    // SAFETY: reads a register that every x86-64 processor has and that no mode of a user's program is kept from on the
    // systems that tell of a trusted counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn counter() -> u64 {
    COUNTER.get().map_or(0, quanta::Clock::raw)
}

/// Whether the processor says that its counter is invariant, and the kernel itself keeps time by it. The kernel watches the counters of all processors
/// against other clocks, and gives them up for good when they disagree, which a program alone cannot see; the processor has to be asked too, for under an
/// emulator or a hypervisor that hides the flag `quanta` has no scale for the counter.
fn is_counter_trusted() -> bool {
    is_counter_invariant() && does_kernel_trust_counter() == Some(true)
}

#[cfg(target_arch = "x86_64")]
fn is_counter_invariant() -> bool {
    is_invariant(|leaf| {
        let answer = core::arch::x86_64::__cpuid(leaf);
        [answer.eax, answer.edx]
    })
}

/// By CPUID, of which `ask` answers EAX and EDX: an invariant TSC (leaf 8000_0007, EDX bit 8) and RDTSCP (leaf 8000_0001, EDX bit 27), as `quanta` asks.
/// Intel SDM, volume 3, 19.17.1, "Invariant TSC".
#[cfg(any(target_arch = "x86_64", test))]
fn is_invariant(ask: impl Fn(u32) -> [u32; 2]) -> bool {
    let [highest, _] = ask(0x8000_0000);
    let has = |leaf: u32, bit: u32| highest >= leaf && ask(leaf)[1] & 1 << bit != 0;
    has(0x8000_0007, 8) && has(0x8000_0001, 27)
}

/// The counter of an AArch64 is invariant by its architecture; of others `quanta` tells the operating system's clock.
#[cfg(not(target_arch = "x86_64"))]
fn is_counter_invariant() -> bool {
    cfg!(target_arch = "aarch64")
}

/// `None` where it does not say: not Linux, hidden, or no file can be opened just now. Then the operating system's clock is
/// taken from the start, which costs more but is right; and what was trusted stays so.
fn does_kernel_trust_counter() -> Option<bool> {
    const CHOSEN: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    is_counter(std::fs::read_to_string(CHOSEN).ok().as_deref())
}

fn is_counter(chosen: Option<&str>) -> Option<bool> {
    Some(matches!(chosen?.trim(), "tsc" | "arch_sys_counter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_trusted_only_where_the_processor_says_that_it_is_invariant() {
        let processor = |highest: u32, features: u32, power: u32| {
            is_invariant(|leaf| match leaf {
                0x8000_0000 => [highest, 0],
                0x8000_0001 => [0, features],
                0x8000_0007 => [0, power],
                _ => panic!("{leaf:x} was not to be asked"),
            })
        };
        assert!(processor(0x8000_0008, 1 << 27, 1 << 8));
        assert!(
            !processor(0x8000_0008, 1 << 27, 0),
            "it may change its pace"
        );
        assert!(!processor(0x8000_0008, 0, 1 << 8), "no RDTSCP");
        // Leaves beyond the highest answer anything.
        assert!(!processor(0x8000_0004, 1 << 27, 1 << 8));
        // `quanta` asks the same: without it the scale would be none of the counter's.
        if is_counter_trusted() {
            let scale = quanta::Clock::new().delta_as_nanos(0, 1 << SCALE_BITS);
            assert_ne!(scale, 1 << SCALE_BITS);
        }
    }

    #[test]
    fn another_clock_of_the_kernel_is_a_loss_and_a_file_that_cannot_be_read_is_none() {
        assert_eq!(is_counter(Some("tsc\n")), Some(true));
        assert_eq!(is_counter(Some("arch_sys_counter\n")), Some(true));
        assert_eq!(is_counter(Some("hpet\n")), Some(false));
        assert_eq!(is_counter(None), None);
    }

    #[test]
    fn ticks_measure_what_the_clock_does() {
        let clock = Clock::system();
        let ticks = Ticks::of(&clock);
        let read = || ticks.now(Duration::default);
        // One pair lies outside of the clock's two readings, one inside: so no wait between two of them matters.
        let (outer, begin, inner) = (read(), clock.now(), read());
        while clock.now() - begin < Duration::from_millis(20) {}
        let (inner_end, end, outer_end) = (read(), clock.now(), read());
        let took = (end - begin).as_secs_f64();
        let seconds = |from, to| Duration::from_nanos(ticks.nanos(from, to)).as_secs_f64();
        assert!(seconds(inner, inner_end) <= took * 1.001, "{took}");
        assert!(seconds(outer, outer_end) >= took * 0.999, "{took}");
        assert_eq!(ticks.nanos(outer + 1, outer), 0);
    }

    #[test]
    fn a_counter_that_is_given_up_goes_on_by_the_systems_clock() {
        let clock = Clock::system();
        if Ticks::of(&clock) != Ticks::Counter {
            return;
        }
        let loss = Loss::new();
        let read = || loss.reading();
        let (outer, begin, inner) = (read(), clock.now(), read());
        loss.happens();
        assert!(read() >= inner);
        while clock.now() - begin < Duration::from_millis(20) {}
        let (inner_end, end, outer_end) = (read(), clock.now(), read());
        let took = (end - begin).as_secs_f64();
        let seconds = |from, to| Duration::from_nanos(Ticks::Counter.nanos(from, to)).as_secs_f64();
        assert!(seconds(inner, inner_end) <= took * 1.001, "{took}");
        assert!(seconds(outer, outer_end) >= took * 0.999, "{took}");
        // A second time changes nothing.
        let before = read();
        loss.happens();
        assert!(read() - before < 1 << SCALE_BITS);
    }
}
