//! Thresholds that no run can keep.

use super::metric::Unit;
use super::{Comparison, Threshold};

impl Threshold {
    /// Whether no run keeps it, whatever it measures: nothing is less than nothing, and no share is more than all.
    pub(crate) fn is_impossible(&self) -> bool {
        match self.comparison {
            Comparison::Less => self.limit <= 0.0,
            Comparison::More => self.metric.unit() == Unit::Percent && self.limit >= 100.0,
            Comparison::AtMost | Comparison::AtLeast => false,
        }
    }

    const fn is_strict(&self) -> bool {
        matches!(self.comparison, Comparison::Less | Comparison::More)
    }

    /// Whether this upper limit leaves nothing to that lower one.
    fn excludes(&self, lower: &Self) -> bool {
        let is_same_window = self.over_s == lower.over_s && self.step == lower.step;
        let is_empty = self.limit < lower.limit
            || self.limit == lower.limit && (self.is_strict() || lower.is_strict());
        is_same_window && is_empty && lower.metric.never_exceeds(self.metric)
    }
}

/// Thresholds of which no run could keep both: the first such pair. Two of different windows may both hold, for a run need not
/// be a whole number of either.
#[must_use]
pub fn contradiction(thresholds: &[Threshold]) -> Option<(Threshold, Threshold)> {
    let uppers = thresholds.iter().filter(|threshold| threshold.is_upper());
    uppers
        .flat_map(|upper| {
            let lowers = thresholds.iter().filter(|threshold| !threshold.is_upper());
            lowers.map(move |lower| (upper, lower))
        })
        .find(|(upper, lower)| upper.excludes(lower))
        .map(|(upper, lower)| (upper.clone(), lower.clone()))
}
