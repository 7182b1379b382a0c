//! A smaller index in the place of one that it does as well as: over some of the rows, say, where no statement wants others, or without
//! what is stored beside the keys and no plan reads.

use super::CostModel;
use super::costs::{Costs, Set};
use super::pool::Pool;

/// So many times smaller is much smaller.
const MUCH: u64 = 4;

/// Share of what the larger one brings that is given up for one that is much smaller: what a sample is off by.
const GIVEN_UP: f64 = 5e-3;

/// The same for one that is smaller at all: nothing, but for rounding.
const AS_GOOD: f64 = 1e-4;

/// The set with those taken that are much smaller.
pub(super) fn slim<M: CostModel>(
    costs: &mut Costs<'_, M>,
    set: Set,
    pool: &Pool,
    banned: &Set,
) -> Set {
    taken(costs, set, pool, banned, (MUCH, GIVEN_UP))
}

/// The set with all of those taken: for the end, because what an index does beside its own statements counts before.
pub(super) fn trim<M: CostModel>(
    costs: &mut Costs<'_, M>,
    set: Set,
    pool: &Pool,
    banned: &Set,
) -> Set {
    taken(costs, set, pool, banned, (1, AS_GOOD))
}

fn taken<M: CostModel>(
    costs: &mut Costs<'_, M>,
    mut set: Set,
    pool: &Pool,
    banned: &Set,
    (times, given_up): (u64, f64),
) -> Set {
    for wide in set.clone().ones() {
        let point = costs.point(&set);
        let worth = costs.without(&point, wide).total - point.total;
        let most = given_up * worth;
        let users = costs.users(&point, wide);
        // The smallest first.
        for &narrow in pool.narrower(wide).iter().rev() {
            let is_small = costs.model.bytes(narrow) * times <= costs.model.bytes(wide);
            if !is_small || set.contains(narrow) || banned.contains(narrow) {
                continue;
            }
            let mut changed = set.clone();
            changed.set(wide, false);
            changed.insert(narrow);
            let kept = costs.model.upkeep(narrow) - costs.model.upkeep(wide);
            let added = |cost: f64, statement: usize, model: &M| {
                model.weight(statement) * (cost - point.costs[statement]).max(0.0)
            };
            let least: f64 = users
                .iter()
                .map(|statement| added(costs.lower(*statement, &changed), *statement, costs.model))
                .sum();
            if kept + least > most {
                continue;
            }
            let mut all = kept;
            for &statement in &users {
                // Without time what is known of it, which is no less.
                let cost = costs
                    .ask(statement, &changed)
                    .unwrap_or_else(|| costs.upper(statement, &changed));
                all += added(cost, statement, costs.model);
                if all > most {
                    break;
                }
            }
            if all <= most {
                set = changed;
                break;
            }
        }
    }
    set
}
