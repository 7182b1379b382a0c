//! The verdict: windows of several lengths, each a trend that has to stand what memory does that is no leak.

use super::{
    history::{History, Observation},
    statistics::{Trend, is_over_walk, median, trend},
    verdict::{Doubt, Rise, Verdict},
};

/// Chance that a steady series rises as much: a window is looked at each minute, for months.
const P_LEAK: f64 = 3e-4;
/// Of a rise that is told as growth.
const P_GROWTH: f64 = 1e-3;
/// Windows that end within a day: buckets, and minutes of each.
const SHORT: [Window; 3] = [
    Window {
        buckets: 57,
        minutes: 2,
        least_percent: 1.3,
    },
    Window {
        buckets: 48,
        minutes: 5,
        least_percent: 1.8,
    },
    Window {
        buckets: 48,
        minutes: 15,
        least_percent: 2.5,
    },
];
/// With those of days.
const WINDOWS: usize = SHORT.len() + 2;
/// Least rise over a window in bytes, 256 KiB: less is nothing to look for, however even it is and however little there was.
pub const LEAST_RISE_BYTES: u64 = 256 << 10;
/// Least rise in noise: so many standard deviations of the values around the trend.
const LEAST_RISE_SDS: f64 = 5.0;
/// A window falls into so many parts, to see whether it rises all along.
const PARTS: usize = 6;
/// No part may hold more of the rise than this: else it is a step.
const MOST_IN_A_PART: f64 = 0.5;
/// What the second half must rise by, as a share of the first: a cache that fills rises ever less.
const LEAST_SECOND_HALF: f64 = 0.7;
/// How far back a level is "seen before", in hours.
const SEEN_HOURS: u64 = 7 * 24;
/// A rise of the requests by more than this is reason enough for a rise of memory.
const LOAD_RISE: f64 = 0.05;
/// What rises by more than so many percent an hour ...
const FAST_PERCENT: f64 = 2.5;
/// ... in a process that is younger than this ...
const YOUNG_MINUTES: u64 = 24 * 60;
/// ... has to do so for this long.
const FAST_FOR_MINUTES: u64 = 12 * 60;
/// Of a day's rise, what the next must rise by.
const LEAST_NEXT_DAY: f64 = 0.85;
/// Of the mean daily rise since the process began, what the last day must rise by ...
const LEAST_OF_ALL: f64 = 0.6;
/// ... the first hours left out, in which everything fills.
const FIRST_HOURS: u64 = 12;
/// Rise a day that is worth a word, in percent.
const LEAST_DAILY_PERCENT: f64 = 1.0;
/// A leak that no window confirms any longer is given so many minutes at least to rise as it did.
const OVER_AFTER_MINUTES: u64 = 3 * 60;

/// Minutes between two looks while a leak stands; divides an hour.
const STANDING_MINUTES: u64 = 15;

#[derive(Clone, Copy)]
struct Window {
    buckets: usize,
    minutes: u64,
    /// Least rise over the window, in percent of the level.
    least_percent: f64,
}

/// Looks for leaks in readings of memory: pure, without a clock, bounded (some 90 KiB), a verdict each minute.
///
/// ```
/// use std::time::Duration;
/// use pitcrew::memory::{LeakDetector, Observation, Verdict};
///
/// let mut detector = LeakDetector::new();
/// for minute in 0..180 {
///     // 400 MiB, and 8 MiB more each hour.
///     let bytes = (400 << 20) + minute * (8 << 20) / 60;
///     detector.observe(Observation::new(Duration::from_secs(minute * 60), bytes, 0));
/// }
/// assert!(matches!(detector.verdict(), Verdict::Leaking(_)));
/// ```
#[derive(Debug)]
pub struct LeakDetector {
    history: History,
    verdict: Verdict,
    /// What each window said when it was last looked at, the shortest first.
    found: [Option<Verdict>; WINDOWS],
    /// The leak that stands.
    standing: Option<Standing>,
}

/// A leak that was called, as last confirmed.
#[derive(Clone, Copy, Debug)]
struct Standing {
    rise: Rise,
    level: f64,
    minute: u64,
}

impl Standing {
    /// Whether memory came back, or has since risen by less than half of what it should have.
    fn is_over(&self, level: f64, minute: u64) -> bool {
        let elapsed = minute.saturating_sub(self.minute);
        let whole = self.rise.bytes_per_hour * self.rise.window_minutes as f64 / 60.0;
        let is_back = level < self.level - whole / 2.0 && self.rise.window_minutes < 24 * 60;
        let expected = self.rise.bytes_per_hour * elapsed as f64 / 60.0;
        let patience = (self.rise.window_minutes / 3).max(OVER_AFTER_MINUTES);
        is_back || (elapsed >= patience && level - self.level < expected / 2.0)
    }
}

const TOO_YOUNG: &str = "there are less than 114 minutes of readings";

impl Default for LeakDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl LeakDetector {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            history: History::default(),
            verdict: Verdict::Unknown(TOO_YOUNG),
            found: [None; WINDOWS],
            standing: None,
        }
    }

    /// Takes a reading. Answers whether it ended a minute, and so made a new verdict.
    pub fn observe(&mut self, observation: Observation) -> bool {
        let is_judged = self.history.push(observation);
        if is_judged {
            self.verdict = self.judge();
        }
        is_judged
    }

    /// The verdict as of the last full minute.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    fn judge(&mut self) -> Verdict {
        let (Some(last), minutes) = (self.history.last().copied(), self.history.span_minutes())
        else {
            return Verdict::Unknown(TOO_YOUNG);
        };
        self.look(last.index);
        let found = self.found.into_iter().flatten();
        let leak = found.clone().find_map(|found| match found {
            Verdict::Leaking(rise) => Some(rise),
            _ => None,
        });
        if let Some(rise) = leak {
            self.standing = Some(Standing {
                rise,
                level: last.floor,
                minute: last.index,
            });
            return Verdict::Leaking(rise);
        }
        if let Some(standing) = &self.standing {
            if !standing.is_over(last.floor, last.index) {
                return Verdict::Leaking(standing.rise);
            }
            self.standing = None;
        }
        let growth = found
            .into_iter()
            .find(|found| matches!(found, Verdict::Growing(..)));
        match growth {
            Some(growth) => growth,
            None if self
                .history
                .minutes(SHORT[0].buckets, SHORT[0].minutes)
                .is_none() =>
            {
                Verdict::Unknown(if minutes < 114 {
                    TOO_YOUNG
                } else {
                    "readings are missing in the last 114 minutes"
                })
            }
            None => Verdict::Steady { minutes },
        }
    }

    /// Looks at each window as often as it gets a new bucket; less often while a leak stands, which is not news.
    fn look(&mut self, minute: u64) {
        if self.standing.is_some() && !minute.is_multiple_of(STANDING_MINUTES) {
            return;
        }
        for (at, window) in SHORT.iter().enumerate() {
            if self.standing.is_some() || (minute + 1).is_multiple_of(window.minutes) {
                self.found[at] = self.short(window);
            }
        }
        if minute.is_multiple_of(60) {
            self.found[SHORT.len()] = self.days();
            self.found[SHORT.len() + 1] = self.weeks();
        }
    }

    /// A window within a day.
    fn short(&self, window: &Window) -> Option<Verdict> {
        let buckets = self.history.minutes(window.buckets, window.minutes)?;
        let part = buckets.floors.len() / PARTS;
        let level = median(&buckets.floors[..part]);
        let now = median(&buckets.floors[buckets.floors.len() - part..]);
        let last = buckets.floors.last().copied()?;
        // Most windows end here, without the statistics of all pairs; and those whose rise has just come back.
        if (now - level) * 200.0 < window.least_percent * level || last < f64::midpoint(level, now)
        {
            return None;
        }
        let found = trend(&buckets.floors)?;
        let rise = found.slope * buckets.floors.len() as f64;
        if !(found.p_rising < P_GROWTH
            && found.low > 0.0
            && is_worth_a_word(rise)
            && rise * 100.0 >= window.least_percent * level)
        {
            return None;
        }
        let minutes = window.buckets as u64 * window.minutes;
        let told = told(&found, window.minutes as f64 / 60.0, minutes, level);
        let doubt = doubt_of_shape(&buckets.floors, rise)
            .or_else(|| self.doubt_of_history(now, rise, minutes))
            .or_else(|| self.doubt_of_age(rise / level, minutes))
            .or_else(|| doubt_of_load(&buckets.loads));
        Some(match doubt {
            Some(doubt) => Verdict::Growing(told, doubt),
            None if found.p_rising >= P_LEAK || rise < LEAST_RISE_SDS * found.noise => {
                return None;
            }
            None if self.is_noise(rise, &buckets.floors, window.minutes) => {
                Verdict::Growing(told, Doubt::SlowNoise)
            }
            None => Verdict::Leaking(told),
        })
    }

    /// Whether noise as slow as what was seen may rise as much.
    fn is_noise(&self, rise: f64, floors: &[f64], width: u64) -> bool {
        let day = self.history.all_minutes(width);
        let past = day.as_ref().map_or(&[][..], |day| &day.floors);
        !is_over_walk(rise, floors, past)
    }

    /// Whether memory has been as high before the window.
    fn doubt_of_history(&self, now: f64, rise: f64, minutes: u64) -> Option<Doubt> {
        let highest = self.history.highest_before(minutes, SEEN_HOURS)?;
        (now < highest + rise / 3.0).then_some(Doubt::SeenBefore)
    }

    /// Whether it is what a young process fills.
    fn doubt_of_age(&self, share: f64, minutes: u64) -> Option<Doubt> {
        let percent_an_hour = share * 100.0 * 60.0 / minutes as f64;
        let is_young = self.history.span_minutes() < YOUNG_MINUTES + minutes;
        (is_young && percent_an_hour > FAST_PERCENT && minutes < FAST_FOR_MINUTES)
            .then_some(Doubt::Young)
    }

    /// Three days hour by hour: each hour against the same one the day before, twice, which leaves daily cycles out.
    fn days(&self) -> Option<Verdict> {
        const DAY: usize = 24;
        let buckets = self.history.hours(3 * DAY, 1)?;
        let day = |n: usize| &buckets.floors[n * DAY..(n + 1) * DAY];
        let risen = |from: usize| -> Vec<f64> {
            let hours = day(from).iter().zip(day(from + 1));
            hours.map(|(before, after)| after - before).collect()
        };
        let (first, second) = (risen(0), risen(1));
        let level = median(day(0));
        let (a, b) = (median(&first), median(&second));
        let both = first
            .iter()
            .zip(&second)
            .filter(|(a, b)| **a > 0.0 && **b > 0.0)
            .count();
        if a <= 0.0
            || b <= 0.0
            || both * 10 < DAY * 8
            || !is_worth_a_word(a + b)
            || (a + b) * 100.0 < 2.0 * LEAST_DAILY_PERCENT * level
        {
            return None;
        }
        let loads = |n: usize| -> f64 { buckets.loads[n * DAY..(n + 1) * DAY].iter().sum() };
        let found = trend(&buckets.floors)?;
        let told = Rise {
            window_minutes: 3 * 24 * 60,
            bytes_per_hour: (a + b) / 48.0,
            low_per_hour: a.min(b) / 24.0,
            high_per_hour: a.max(b) / 24.0,
            probability: found.p_rising,
            from_bytes: level,
        };
        let is_loaded =
            loads(2) > loads(1) * (1.0 + LOAD_RISE) && loads(1) > loads(0) * (1.0 + LOAD_RISE);
        // Fragmentation rises as a logarithm does: from day to day hardly slower, but much slower than it began.
        let all_along = self.history.daily_rise_since(FIRST_HOURS).unwrap_or(b);
        Some(if b < LEAST_NEXT_DAY * a || b < LEAST_OF_ALL * all_along {
            Verdict::Growing(told, Doubt::SlowsDown)
        } else if is_loaded {
            Verdict::Growing(told, Doubt::Load)
        } else if b > a / LEAST_SECOND_HALF * 2.0 {
            // Not yet at a rate of its own.
            Verdict::Growing(told, Doubt::Step)
        } else {
            Verdict::Leaking(told)
        })
    }

    /// Eight days, each by its least: the nights' floor, which traffic hardly moves.
    fn weeks(&self) -> Option<Verdict> {
        let buckets = self.history.hours(8, 24)?;
        let found = trend(&buckets.floors)?;
        let level = buckets.floors[0];
        let rise = found.slope * 7.0;
        if found.low <= 0.0 || !is_worth_a_word(rise) || rise * 100.0 < 3.0 * level.max(1.0) {
            return None;
        }
        let told = told(&found, 24.0, 8 * 24 * 60, level);
        let half = |from: usize| buckets.floors[from + 3] - buckets.floors[from];
        let risen = buckets
            .floors
            .windows(2)
            .filter(|pair| pair[1] > pair[0])
            .count();
        let largest = buckets
            .floors
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(0.0, f64::max);
        Some(if half(4) < LEAST_SECOND_HALF * half(0) {
            Verdict::Growing(told, Doubt::SlowsDown)
        } else if risen < 6 || largest > MOST_IN_A_PART * rise {
            Verdict::Growing(told, Doubt::Step)
        } else {
            Verdict::Leaking(told)
        })
    }
}

/// Whether a rise over a window comes to [`LEAST_RISE_BYTES`].
fn is_worth_a_word(rise: f64) -> bool {
    rise >= LEAST_RISE_BYTES as f64
}

/// Slope by bucket to a rise by hour.
fn told(found: &Trend, bucket_hours: f64, window_minutes: u64, level: f64) -> Rise {
    Rise {
        window_minutes,
        bytes_per_hour: found.slope / bucket_hours,
        low_per_hour: found.low / bucket_hours,
        high_per_hour: found.high / bucket_hours,
        probability: found.p_rising,
        from_bytes: level,
    }
}

/// Whether a rise is even: not one step, and no slower at its end.
fn doubt_of_shape(floors: &[f64], rise: f64) -> Option<Doubt> {
    let size = floors.len() / PARTS;
    let parts: Vec<f64> = floors.chunks(size).take(PARTS).map(median).collect();
    let steps: Vec<f64> = parts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let risen = steps.iter().filter(|step| **step > 0.0).count();
    if steps.iter().any(|step| *step > MOST_IN_A_PART * rise) || risen + 1 < steps.len() {
        return Some(Doubt::Step);
    }
    let (first, second) = floors.split_at(floors.len() / 2);
    let (first, second) = (trend(first)?, trend(second)?);
    // Clearly: noise alone makes halves differ by as much.
    let is_slower = second.slope < LEAST_SECOND_HALF * first.slope && second.high < first.slope;
    is_slower.then_some(Doubt::SlowsDown)
}

/// Whether the requests rose enough to explain it.
fn doubt_of_load(loads: &[f64]) -> Option<Doubt> {
    let typical = median(loads);
    if typical <= 0.0 {
        return None;
    }
    let found = trend(loads)?;
    let rise = found.slope * loads.len() as f64 / typical;
    (found.p_rising < 0.01 && rise > LOAD_RISE).then_some(Doubt::Load)
}
