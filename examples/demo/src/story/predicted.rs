//! What the suggestions promise for each statement.

use std::collections::BTreeMap;

use serde_json::Value;

/// Planned cost of each statement without the applied suggestions, and with all of them.
pub(super) struct Predicted(BTreeMap<i64, (f64, f64)>);

impl Predicted {
    /// Each suggestion's costs assume that the ones above it are built: a statement that several of them help begins at the
    /// first one's cost before, and ends at the last one's cost after.
    pub(super) fn of(applied: &[&Value]) -> Self {
        let mut costs = BTreeMap::new();
        let evidence = applied.iter().filter_map(|one| one["evidence"].as_array());
        for one in evidence.flatten() {
            let (Some(id), Some(before), Some(after)) = (
                one["queryid"].as_i64(),
                one["cost_before"].as_f64(),
                one["cost_after"].as_f64(),
            ) else {
                continue;
            };
            costs.entry(id).or_insert((before, after)).1 = after;
        }
        Self(costs)
    }

    /// The statements that the suggestions name as helped.
    pub(super) fn statements(&self) -> Vec<i64> {
        self.0.keys().copied().collect()
    }

    /// Cost after / before over the given statements, each once and times its calls.
    pub(super) fn cost_ratio(&self, calls: &[(i64, u64)]) -> Option<f64> {
        let (mut before, mut after) = (0.0, 0.0);
        for (id, calls) in calls {
            let costs = self.0.get(id)?;
            before += *calls as f64 * costs.0;
            after += *calls as f64 * costs.1;
        }
        (before > 0.0).then(|| after / before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_statement_that_two_suggestions_help_counts_once_from_the_first_cost_to_the_last() {
        let row = |id: i64, before: f64, after: f64| json!({"queryid": id, "cost_before": before, "cost_after": after});
        let first = json!({"evidence": [row(1, 100.0, 40.0), row(2, 300.0, 30.0)]});
        let second = json!({"evidence": [row(1, 40.0, 10.0), row(3, 500.0, 5.0)]});
        let predicted = Predicted::of(&[&first, &second]);
        assert_eq!(predicted.statements(), [1, 2, 3]);
        // Statement 3 was not reached: it is in neither sum.
        let ratio = predicted.cost_ratio(&[(1, 200), (2, 400)]);
        assert_eq!(ratio, Some((10.0 + 2.0 * 30.0) / (100.0 + 2.0 * 300.0)));
        assert_eq!(predicted.cost_ratio(&[]), None);
        assert_eq!(predicted.cost_ratio(&[(9, 200)]), None);
    }
}
