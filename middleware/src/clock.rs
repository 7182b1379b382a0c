//! Time that can be replaced in tests: a monotonic clock measures, the wall clock stamps.

#[cfg(feature = "latency")]
use std::sync::OnceLock;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// As good as for ever: longer settings are taken for this, a hundred years, so that a time from now can be counted.
#[cfg(feature = "cache")]
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Where a layer takes its time from.
///
/// [`Clock::system`] measures by the monotonic clock, so a step of the machine's wall clock neither ages a cached answer nor
/// makes it young again; and it stamps by the wall clock as that stands now, so that what others write and read (a `Date`, an
/// answer in Redis) agrees with their clocks also after a step. [`Clock::manual`] stands still until it is told to move. Clones share the same time.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System { anchor: Instant },
    Manual(Arc<Manual>),
}

struct Manual {
    /// Nanoseconds since the clock was made.
    elapsed: AtomicU64,
    /// Milliseconds since 1970-01-01 UTC at `elapsed` 0.
    wall_ms: AtomicI64,
}

/// 2026-01-01 00:00:00 UTC: where a manual clock's wall time starts, so that dates in tests are readable.
const MANUAL_START_MS: i64 = 1_767_225_600_000;

impl Clock {
    /// The machine's monotonic clock. The default.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System {
            anchor: Instant::now(),
        })
    }

    /// A clock that stands at zero (wall time 2026-01-01 00:00:00 UTC) until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual() -> Self {
        Self(Kind::Manual(Arc::new(Manual {
            elapsed: AtomicU64::new(0),
            wall_ms: AtomicI64::new(MANUAL_START_MS),
        })))
    }

    /// Monotonic time since this clock was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Kind::System { anchor } => anchor.elapsed(),
            Kind::Manual(manual) => Duration::from_nanos(manual.elapsed.load(Ordering::Acquire)),
        }
    }

    /// Wall time in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        match &self.0 {
            Kind::System { .. } => millis(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
            Kind::Manual(manual) => {
                let elapsed = manual.elapsed.load(Ordering::Acquire) / 1_000_000;
                manual
                    .wall_ms
                    .load(Ordering::Acquire)
                    .saturating_add_unsigned(elapsed)
                    .max(0)
                    .unsigned_abs()
            }
        }
    }

    /// Moves a manual clock forward, wall time included, 584 years from its start at most. Does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(manual) = &self.0 {
            let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            let forward = |elapsed: u64| Some(elapsed.saturating_add(nanos));
            let _ = manual
                .elapsed
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, forward);
        }
    }

    /// Steps a manual clock's wall time alone, as an administrator or NTP would. Milliseconds, may be negative.
    pub fn step_wall(&self, ms: i64) {
        if let Kind::Manual(manual) = &self.0 {
            manual.wall_ms.fetch_add(ms, Ordering::AcqRel);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Kind::System { .. } => "system",
            Kind::Manual(_) => "manual",
        };
        f.debug_struct("Clock")
            .field("kind", &kind)
            .field("now", &self.now())
            .finish()
    }
}

/// Differences of time for a path where each clock reading counts: which source a reading comes from. A byte that is copied
/// with each request.
#[cfg(feature = "latency")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticks {
    /// The processor's time-stamp counter, calibrated once a process.
    Counter,
    /// The operating system's monotonic clock.
    Monotonic,
    /// A manual clock, which has to be found.
    Manual,
}

#[cfg(feature = "latency")]
static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();

/// Nanoseconds in 2^32 of the counter's steps, which is `quanta`'s own scale to the tenth digit: set before a reading is taken.
#[cfg(feature = "latency")]
static SCALE: AtomicU64 = AtomicU64::new(0);

#[cfg(feature = "latency")]
const SCALE_BITS: u32 = 32;

#[cfg(feature = "latency")]
static ANCHOR: OnceLock<Instant> = OnceLock::new();

#[cfg(feature = "latency")]
impl Ticks {
    /// The counter where `clock` is the machine's and the counter can be trusted, else what `clock` itself is made of.
    pub(crate) fn of(clock: &Clock) -> Self {
        static IS_TRUSTED: OnceLock<bool> = OnceLock::new();
        if matches!(clock.0, Kind::Manual(_)) {
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
            return counter();
        }
        self.slow(manual)
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
#[cfg(all(feature = "latency", target_arch = "x86_64"))]
#[allow(unsafe_code)]
#[inline]
fn counter() -> u64 {
    // SAFETY: reads a register that every x86-64 processor has and that no mode of a user's program is kept from on the
    // systems that tell of a trusted counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(all(feature = "latency", not(target_arch = "x86_64")))]
#[inline]
fn counter() -> u64 {
    COUNTER.get().map_or(0, quanta::Clock::raw)
}

/// Whether the processor says that its counter is invariant, and the kernel itself keeps time by it. The kernel watches the counters of all processors
/// against other clocks, and gives them up for good when they disagree, which a program alone cannot see; the processor has to be asked too, for under an
/// emulator or a hypervisor that hides the flag `quanta` has no scale for the counter.
#[cfg(feature = "latency")]
fn is_counter_trusted() -> bool {
    is_counter_invariant() && does_kernel_trust_counter()
}

#[cfg(all(feature = "latency", target_arch = "x86_64"))]
fn is_counter_invariant() -> bool {
    is_invariant(|leaf| {
        let answer = core::arch::x86_64::__cpuid(leaf);
        [answer.eax, answer.edx]
    })
}

/// By CPUID, of which `ask` answers EAX and EDX: an invariant TSC (leaf 8000_0007, EDX bit 8) and RDTSCP (leaf 8000_0001, EDX bit 27), as `quanta` asks.
/// Intel SDM, volume 3, 19.17.1, "Invariant TSC".
#[cfg(all(feature = "latency", any(target_arch = "x86_64", test)))]
fn is_invariant(ask: impl Fn(u32) -> [u32; 2]) -> bool {
    let [highest, _] = ask(0x8000_0000);
    let has = |leaf: u32, bit: u32| highest >= leaf && ask(leaf)[1] & 1 << bit != 0;
    has(0x8000_0007, 8) && has(0x8000_0001, 27)
}

/// The counter of an AArch64 is invariant by its architecture; of others `quanta` tells the operating system's clock.
#[cfg(all(feature = "latency", not(target_arch = "x86_64")))]
fn is_counter_invariant() -> bool {
    cfg!(target_arch = "aarch64")
}

#[cfg(feature = "latency")]
fn does_kernel_trust_counter() -> bool {
    const CHOSEN: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    match std::fs::read_to_string(CHOSEN) {
        Ok(chosen) => matches!(chosen.trim(), "tsc" | "arch_sys_counter"),
        // Not Linux, or hidden: the operating system's clock costs more, but is right.
        Err(_) => false,
    }
}

/// Whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_with_it() {
        let clock = Clock::manual();
        let other = clock.clone();
        assert_eq!(clock.now(), Duration::ZERO);
        other.advance(Duration::from_secs(3));
        assert_eq!(clock.now(), Duration::from_secs(3));
        assert_eq!(clock.unix_ms(), MANUAL_START_MS.unsigned_abs() + 3_000);
    }

    #[test]
    fn a_manual_clock_never_goes_back_however_far_it_is_moved() {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(10));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }

    #[cfg(feature = "latency")]
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
    fn stepping_the_wall_leaves_monotonic_time_alone() {
        let clock = Clock::manual();
        clock.step_wall(-60_000);
        assert_eq!(clock.now(), Duration::ZERO);
        assert_eq!(clock.unix_ms(), MANUAL_START_MS.unsigned_abs() - 60_000);
    }

    #[cfg(feature = "latency")]
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
    fn the_system_clock_never_goes_back() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
