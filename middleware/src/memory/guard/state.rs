//! Which limit is passed: pure, with hysteresis.

use super::HYSTERESIS_PERCENT;

/// Limits in bytes, and which figure counts against each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) struct Limits {
    pub(in crate::memory) soft: u64,
    pub(in crate::memory) hard: u64,
    pub(in crate::memory) soft_by_group: bool,
    pub(in crate::memory) hard_by_group: bool,
}

/// Which limits are passed now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::memory) struct Pressed {
    pub(in crate::memory) soft: bool,
    pub(in crate::memory) hard: bool,
    pub(in crate::memory) soft_passed: u64,
    pub(in crate::memory) hard_passed: u64,
}

impl Pressed {
    /// What a new sample makes of it. A figure that is not known changes nothing for soft, and ends refusing: nobody is
    /// refused for what is not known.
    pub(in crate::memory) fn next(
        self,
        limits: &Limits,
        working_set: Option<u64>,
        rss: Option<u64>,
    ) -> Self {
        let figure = |by_group: bool| if by_group { working_set } else { rss };
        let soft = figure(limits.soft_by_group)
            .map_or(self.soft, |used| is_passed(self.soft, used, limits.soft));
        let hard = figure(limits.hard_by_group)
            .is_some_and(|used| is_passed(self.hard, used, limits.hard));
        Self {
            soft,
            hard,
            soft_passed: self.soft_passed + u64::from(soft && !self.soft),
            hard_passed: self.hard_passed + u64::from(hard && !self.hard),
        }
    }
}

fn is_passed(was_passed: bool, used: u64, limit: u64) -> bool {
    if was_passed {
        used as f64 > limit as f64 * (1.0 - HYSTERESIS_PERCENT / 100.0)
    } else {
        used >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        soft: 800,
        hard: 950,
        soft_by_group: true,
        hard_by_group: false,
    };

    #[test]
    fn a_limit_stays_passed_until_use_is_clearly_below() {
        let mut pressed = Pressed::default();
        let mut seen = Vec::new();
        for used in [700, 799, 800, 790, 777, 776, 790, 960, 940, 922, 921, 100] {
            pressed = pressed.next(&LIMITS, Some(used), Some(used));
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
        let pressed = Pressed::default().next(&LIMITS, Some(900), Some(10));
        assert!(pressed.soft && !pressed.hard);
        let pressed = pressed.next(&LIMITS, Some(900), Some(960));
        assert!(pressed.hard);
        let pressed = pressed.next(&LIMITS, None, None);
        assert!(pressed.soft && !pressed.hard);
    }
}
