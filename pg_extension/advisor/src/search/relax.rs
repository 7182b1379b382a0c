//! From more than fits to what fits: again and again the change that costs least for each byte that it frees
//! (N. Bruno, S. Chaudhuri: Automatic Physical Database Tuning: A Relaxation-based Approach, SIGMOD 2005).

use super::costs::{Costs, Point, Set};
use super::pool::Pool;
use super::{CostModel, Limits, NOISE};

/// One index less, or a smaller one in its place.
#[derive(Clone, Copy)]
struct Change {
    out: usize,
    instead: Option<usize>,
    /// Bytes that it frees, no more than are wanted; 1 where only the number of indexes is wanted down.
    freed: f64,
    /// Weighted cost that it adds, or no more than that.
    penalty: f64,
    is_exact: bool,
}

impl Change {
    fn score(&self) -> f64 {
        self.penalty / self.freed
    }

    fn of(&self, set: &Set) -> Set {
        let mut changed = set.clone();
        changed.set(self.out, false);
        changed.extend(self.instead);
        changed
    }
}

/// Takes out of `set` what is worth least until it keeps to the limits; `None` where time is over before it does.
pub(super) fn relax<M: CostModel>(
    costs: &mut Costs<'_, M>,
    mut set: Set,
    pool: &Pool,
    limits: Limits,
) -> Option<Set> {
    loop {
        let point = costs.point(&set);
        let over = point.bytes.saturating_sub(limits.budget_bytes);
        if over == 0 && set.count_ones(..) <= limits.max_indexes {
            return Some(set);
        }
        // Without the planner's word what is left out looks worth more than it is.
        if !costs.model.has_time() {
            return None;
        }
        let mut changes = Vec::new();
        for out in set.ones() {
            changes.push(removal(costs, &point, out, over));
            // Where only their number is too large, a smaller one does not help.
            if over > 0 {
                changes.extend(replacements(costs, &point, pool, out, over));
            }
        }
        set = cheapest(costs, &point, changes)?.of(&set);
    }
}

/// The candidate of `set` that is missed least for its bytes.
pub(super) fn least_missed<M: CostModel>(costs: &mut Costs<'_, M>, point: &Point) -> Option<usize> {
    let all = point.set.ones();
    let changes = all
        .map(|out| removal(costs, point, out, u64::MAX))
        .collect();
    cheapest(costs, point, changes).map(|change| change.out)
}

fn removal<M: CostModel>(costs: &Costs<'_, M>, point: &Point, out: usize, over: u64) -> Change {
    let freed = costs.model.bytes(out).min(over).max(1);
    let mut change = Change {
        out,
        instead: None,
        freed: if over > 0 { freed as f64 } else { 1.0 },
        penalty: 0.0,
        is_exact: false,
    };
    let changed = change.of(&point.set);
    let added = costs.users(point, out).into_iter().map(|statement| {
        let added = costs.lower(statement, &changed) - point.costs[statement];
        costs.model.weight(statement) * added.max(0.0)
    });
    change.penalty = added.sum::<f64>() - costs.model.upkeep(out);
    change
}

/// What could stand in its place for fewer bytes: what is narrower, and what is known to be better than nothing.
fn replacements<M: CostModel>(
    costs: &Costs<'_, M>,
    point: &Point,
    pool: &Pool,
    out: usize,
    over: u64,
) -> Vec<Change> {
    let without = costs.without(point, out);
    let bytes = costs.model.bytes(out);
    let mut changes = Vec::new();
    for instead in pool.all.difference(&point.set) {
        let freed = bytes.saturating_sub(costs.model.bytes(instead)).min(over);
        if freed == 0 {
            continue;
        }
        let gain = costs.gain(&without, instead);
        let is_narrower = pool.narrower(out).contains(&instead);
        if is_narrower || gain > NOISE * (without.total - point.total) {
            changes.push(Change {
                out,
                instead: Some(instead),
                freed: freed as f64,
                // Of the others what is known is taken for all there is: it is no less.
                penalty: without.total - gain - point.total,
                is_exact: !is_narrower,
            });
        }
    }
    for change in changes.iter_mut().filter(|change| !change.is_exact) {
        let changed = change.of(&point.set);
        let added = costs.users(point, out).into_iter().map(|statement| {
            let added = costs.lower(statement, &changed) - point.costs[statement];
            costs.model.weight(statement) * added.max(0.0)
        });
        let kept = change.instead.map_or(0.0, |one| costs.model.upkeep(one));
        change.penalty = added.sum::<f64>() + kept - costs.model.upkeep(out);
    }
    changes
}

fn cheapest<M: CostModel>(
    costs: &mut Costs<'_, M>,
    point: &Point,
    mut changes: Vec<Change>,
) -> Option<Change> {
    loop {
        // The first whose penalty is known in full beats all that can only be dearer than they look.
        let (position, best) = changes
            .iter()
            .copied()
            .enumerate()
            .min_by(|(_, a), (_, b)| {
                a.score()
                    .total_cmp(&b.score())
                    .then(b.freed.total_cmp(&a.freed))
            })?;
        if best.is_exact {
            return Some(best);
        }
        let changed = best.of(&point.set);
        let kept = best.instead.map_or(0.0, |one| costs.model.upkeep(one));
        let mut penalty = kept - costs.model.upkeep(best.out);
        for statement in costs.users(point, best.out) {
            // Without time what is known of it, which is no less.
            let after = costs
                .ask(statement, &changed)
                .unwrap_or_else(|| costs.upper(statement, &changed));
            penalty += costs.model.weight(statement) * (after - point.costs[statement]);
        }
        changes[position].penalty = penalty;
        changes[position].is_exact = true;
    }
}
