//! One index in the place of two: with the keys of one, and what both store.

use super::costs::{Costs, Set};
use super::{CostModel, LEAST_SHARE_A_MB, MOST_ASKED};

/// Share of what the two bring together that is given up for it.
const GIVEN_UP: f64 = 0.02;

/// The set with such ones taken, until there are no two left.
pub(super) fn merge<M: CostModel>(costs: &mut Costs<'_, M>, mut set: Set, banned: &Set) -> Set {
    // Each step leaves one index less.
    while let Some(changed) = step(costs, &set, banned) {
        set = changed;
    }
    set
}

fn step<M: CostModel>(costs: &mut Costs<'_, M>, set: &Set, banned: &Set) -> Option<Set> {
    let all: Vec<usize> = set.ones().collect();
    for (position, &one) in all.iter().enumerate() {
        for &other in &all[position + 1..] {
            let is_new = |merged: &usize| !set.contains(*merged) && !banned.contains(*merged);
            if let Some(merged) = costs.merged(one, other).filter(is_new)
                && let Some(changed) = taken(costs, set, [one, other], merged)
            {
                return Some(changed);
            }
        }
    }
    None
}

/// The set with `merged` for the two, where that is worth it.
fn taken<M: CostModel>(
    costs: &mut Costs<'_, M>,
    set: &Set,
    two: [usize; 2],
    merged: usize,
) -> Option<Set> {
    let bytes = |one: usize| costs.model.bytes(one);
    let freed = (bytes(two[0]) + bytes(two[1])).checked_sub(bytes(merged))?;
    let point = costs.point(set);
    let without = two
        .iter()
        .fold(point.clone(), |point, one| costs.without(&point, *one));
    let mb = freed as f64 / (1024.0 * 1024.0);
    // Less than this an index has to bring for those bytes, or it is taken out.
    let slight = point.total * (LEAST_SHARE_A_MB * mb).min(MOST_ASKED);
    let most = slight.max(GIVEN_UP * (without.total - point.total));
    let mut changed = set.clone();
    changed.grow(costs.model.candidates());
    changed.set(two[0], false);
    changed.set(two[1], false);
    changed.insert(merged);
    let mut users: Vec<usize> = two
        .iter()
        .flat_map(|one| costs.users(&point, *one))
        .collect();
    users.sort_unstable();
    users.dedup();
    let upkeep = |one: usize| costs.model.upkeep(one);
    let mut lost = upkeep(merged) - upkeep(two[0]) - upkeep(two[1]);
    for statement in users {
        // Without time it is not known what it would lose.
        let cost = costs.ask(statement, &changed)?;
        lost += costs.model.weight(statement) * (cost - point.costs[statement]).max(0.0);
        if lost > most {
            return None;
        }
    }
    (lost <= most).then_some(changed)
}
