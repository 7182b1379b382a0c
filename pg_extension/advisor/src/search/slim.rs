//! A much smaller index in the place of one that it does as well as: over some of the rows, say, where no statement wants others.

use super::CostModel;
use super::costs::{Costs, Set};
use super::pool::Pool;

/// What is smaller by less than this is left as it is.
const MUCH: u64 = 4;

/// Share of what the larger one brings that is given up for it: what a sample is off by.
const GIVEN_UP: f64 = 5e-3;

/// The set with such ones taken.
pub(super) fn slim<M: CostModel>(
    costs: &mut Costs<'_, M>,
    mut set: Set,
    pool: &Pool,
    banned: &Set,
) -> Set {
    for wide in set.clone().ones() {
        let point = costs.point(&set);
        let worth = costs.without(&point, wide).total - point.total;
        let users = costs.users(&point, wide);
        // The smallest first.
        for &narrow in pool.narrower[wide].iter().rev() {
            let is_small = costs.model.bytes(narrow) * MUCH <= costs.model.bytes(wide);
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
            if kept + least > GIVEN_UP * worth {
                continue;
            }
            let mut all = kept;
            for &statement in &users {
                // Without time what is known of it, which is no less.
                let cost = costs
                    .ask(statement, &changed)
                    .unwrap_or_else(|| costs.upper(statement, &changed));
                all += added(cost, statement, costs.model);
                if all > GIVEN_UP * worth {
                    break;
                }
            }
            if all <= GIVEN_UP * worth {
                set = changed;
                break;
            }
        }
    }
    set
}
