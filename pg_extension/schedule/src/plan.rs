//! Rule, window and jitter together: the next run, and what a due run comes to.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::rule::Rule;
use crate::window::{Opening, Window};
use crate::{Problem, zone};

/// Longest jitter, in seconds.
pub const MAX_JITTER_S: i64 = 3_600;

/// A run that starts later than this was missed: nobody was there to start it.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// Due times looked at for the next run; more than an hour's jitter of a pattern that is due each second needs.
const LOOKED_AT: usize = 10_000;

/// What is done about runs that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// They are left out.
    None,
    /// One run makes up for all of them.
    Once,
}

impl CatchUp {
    /// Reads `none` or `once`.
    ///
    /// # Errors
    /// [`Problem::CatchUp`].
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "none" => Ok(Self::None),
            "once" => Ok(Self::Once),
            _ => Err(Problem::CatchUp(text.to_owned())),
        }
    }
}

/// What a schedule whose time has come does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its jobs are queued now.
    Run,
    /// Its last jobs are not finished: this run is left out.
    Running,
    /// It was missed, and is left out.
    Missed,
    /// It was missed, the window is closed now, and it is made up for at this time.
    Later(Timestamp),
}

/// When a schedule runs.
#[derive(Debug, Clone)]
pub struct Plan {
    rule: Rule,
    zone: TimeZone,
    window: Option<Window>,
    /// This schedule's own share of the jitter, in seconds.
    delay_s: i64,
    /// Where intervals are reckoned from.
    anchor: Timestamp,
}

impl Plan {
    /// Reads a schedule. `window` is JSON null for none; `name` decides the share of the jitter, so that schedules that
    /// are due together start apart, and each always at the same distance.
    ///
    /// # Errors
    /// [`Problem`], with its own hint.
    pub fn parse(
        name: &str,
        rule: &str,
        zone: &str,
        window: &Value,
        jitter_s: i64,
        anchor: Timestamp,
    ) -> Result<Self, Problem> {
        let parsed = Rule::parse(rule)?;
        let zone = zone::named(zone)?;
        let window = match window {
            Value::Null => None,
            value => Some(Window::parse(value, &zone)?),
        };
        let longest = parsed
            .interval_s()
            .map_or(MAX_JITTER_S, |interval| (interval - 1).min(MAX_JITTER_S));
        if !(0..=longest).contains(&jitter_s) {
            return Err(Problem::Jitter(jitter_s));
        }
        let plan = Self {
            rule: parsed,
            zone,
            window,
            delay_s: share(name, jitter_s),
            anchor,
        };
        if plan.next(anchor).is_none() {
            return Err(Problem::Never(rule.to_owned()));
        }
        Ok(plan)
    }

    /// The first run after `now`.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let delay = SignedDuration::from_secs(self.delay_s);
        // What was due before may still be delayed past `now`.
        let mut due = now.checked_sub(delay).ok()?;
        for _ in 0..LOOKED_AT {
            due = self.rule.next(due, &self.zone, self.anchor)?;
            let run = self.placed(due)?;
            if run > now {
                return Some(run);
            }
        }
        None
    }

    /// The window's opening at `now`: `None` without a window and while it is closed.
    #[must_use]
    pub fn opening(&self, now: Timestamp) -> Option<Opening> {
        let opening = self.window.as_ref()?.at_or_after(now)?;
        (opening.start <= now).then_some(opening)
    }

    /// Whether jobs that still run when the window closes are cancelled.
    #[must_use]
    pub fn stops_at_end(&self) -> bool {
        self.window.as_ref().is_some_and(|window| window.stops)
    }

    /// What becomes of the run that was due at `due`.
    #[must_use]
    pub fn turn(
        &self,
        due: Timestamp,
        now: Timestamp,
        catch_up: CatchUp,
        is_running: bool,
    ) -> Turn {
        let is_open = self.window.is_none() || self.opening(now).is_some();
        let is_late = now.duration_since(due) > GRACE || !is_open;
        if is_late && catch_up == CatchUp::None {
            return Turn::Missed;
        }
        if !is_open {
            return self.placed(now).map_or(Turn::Missed, Turn::Later);
        }
        if is_running {
            return Turn::Running;
        }
        Turn::Run
    }

    /// When what is due at `due` runs: in the window, later by this schedule's share of the jitter, which is folded
    /// into what is left of the window.
    fn placed(&self, due: Timestamp) -> Option<Timestamp> {
        let Some(window) = &self.window else {
            return due
                .checked_add(SignedDuration::from_secs(self.delay_s))
                .ok();
        };
        let opening = window.at_or_after(due)?;
        let start = due.max(opening.start);
        let left = opening.end.duration_since(start).as_secs().max(1);
        start
            .checked_add(SignedDuration::from_secs(self.delay_s % left))
            .ok()
    }
}

/// 0 to `jitter_s`, by name alone (FNV-1a, for its text has to give the same on every machine).
fn share(name: &str, jitter_s: i64) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % (jitter_s.unsigned_abs() + 1)) as i64
}
