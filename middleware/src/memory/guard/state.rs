//! Which limit is passed: pure, with hysteresis.

use super::{HYSTERESIS_PERCENT, Sample};

/// A limit as it was set. A share is one of the group's limit as each sample tells it, which may be changed while the process runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::memory) enum Limit {
    /// Of the group's limit; its working set counts.
    Percent(f64),
    /// The resident set size counts.
    Bytes(u64),
}

/// What a sample tells of limit and use.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::memory) struct InUse {
    pub(in crate::memory) group_limit: Option<u64>,
    pub(in crate::memory) working_set: Option<u64>,
    pub(in crate::memory) rss: Option<u64>,
}

impl InUse {
    pub(in crate::memory) fn of(sample: &Sample) -> Self {
        let group = sample.cgroup.unwrap_or_default();
        Self {
            group_limit: group.limit_bytes,
            working_set: group.working_set_bytes,
            rss: sample.process.rss_bytes,
        }
    }
}

impl Limit {
    /// In bytes, never above the group's limit; `None` for a share of a limit that is not known.
    pub(super) fn bytes(self, now: &InUse) -> Option<u64> {
        match self {
            Self::Percent(percent) => now
                .group_limit
                .map(|limit| (limit as f64 * percent / 100.0) as u64),
            Self::Bytes(bytes) => Some(now.group_limit.map_or(bytes, |limit| limit.min(bytes))),
        }
    }

    /// What counts against it.
    pub(super) fn used(self, now: &InUse) -> Option<u64> {
        match self {
            Self::Percent(_) => now.working_set,
            Self::Bytes(_) => now.rss,
        }
    }

    /// Whether it is passed; `None` where that is not known.
    fn is_passed(self, was_passed: bool, now: &InUse) -> Option<bool> {
        let (limit, used) = (self.bytes(now)?, self.used(now)?);
        Some(if was_passed {
            used as f64 > limit as f64 * (1.0 - HYSTERESIS_PERCENT / 100.0)
        } else {
            used >= limit
        })
    }
}

/// Both limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::memory) struct Limits {
    pub(super) soft: Limit,
    pub(super) hard: Limit,
}

/// Which limits are passed now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::memory) struct Pressed {
    pub(in crate::memory) soft: bool,
    pub(in crate::memory) hard: bool,
    pub(super) soft_passed: u64,
    pub(super) hard_passed: u64,
}

impl Pressed {
    /// What a new sample makes of it. A figure that is not known changes nothing for soft, and ends refusing: nobody is
    /// refused for what is not known.
    pub(in crate::memory) fn next(self, limits: &Limits, now: &InUse) -> Self {
        let soft = limits.soft.is_passed(self.soft, now).unwrap_or(self.soft);
        let hard = limits.hard.is_passed(self.hard, now).unwrap_or(false);
        Self {
            soft,
            hard,
            soft_passed: self.soft_passed + u64::from(soft && !self.soft),
            hard_passed: self.hard_passed + u64::from(hard && !self.hard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        soft: Limit::Percent(80.0),
        hard: Limit::Bytes(950),
    };

    fn now(working_set: impl Into<Option<u64>>, rss: impl Into<Option<u64>>) -> InUse {
        InUse {
            group_limit: Some(1_000),
            working_set: working_set.into(),
            rss: rss.into(),
        }
    }

    #[test]
    fn a_limit_stays_passed_until_use_is_clearly_below() {
        let mut pressed = Pressed::default();
        let mut seen = Vec::new();
        for used in [700, 799, 800, 790, 777, 776, 790, 960, 940, 922, 921, 100] {
            pressed = pressed.next(&LIMITS, &now(used, used));
            seen.push((pressed.soft, pressed.hard));
        }
        let soft: Vec<_> = seen.iter().map(|seen| seen.0).collect();
        let hard: Vec<_> = seen.iter().map(|seen| seen.1).collect();
        assert_eq!(
            soft,
            [
                false, false, true, true, true, false, false, true, true, true, true, false
            ]
        );
        assert_eq!(
            hard,
            [
                false, false, false, false, false, false, false, true, true, true, false, false
            ]
        );
        assert_eq!((pressed.soft_passed, pressed.hard_passed), (2, 1));
    }

    #[test]
    fn each_limit_has_its_own_figure_and_nobody_is_refused_for_what_is_not_known() {
        let pressed = Pressed::default().next(&LIMITS, &now(900, 10));
        assert!(pressed.soft && !pressed.hard);
        let pressed = pressed.next(&LIMITS, &now(900, 960));
        assert!(pressed.hard);
        let pressed = pressed.next(&LIMITS, &now(None, None));
        assert!(pressed.soft && !pressed.hard);
    }

    #[test]
    fn limits_follow_the_groups_own() {
        let lowered = |group_limit| InUse {
            group_limit,
            ..now(490, 490)
        };
        assert!(!Pressed::default().next(&LIMITS, &lowered(Some(1_000))).soft);
        let pressed = Pressed::default().next(&LIMITS, &lowered(Some(490)));
        assert!(pressed.soft && pressed.hard, "bytes are capped by it too");
        let lifted = pressed.next(&LIMITS, &lowered(None));
        assert!(!lifted.hard && lifted.soft);
    }
}
