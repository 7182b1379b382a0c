//! From a set that fits to a better one beside it: what is known of plans is searched through without asking, then the
//! planner is asked what else there could be, until neither finds anything.

use super::costs::{Costs, Point, Set};
use super::pool::Pool;
use super::{CostModel, Limits, NOISE};

/// How often the planner is asked for more.
const ROUNDS: usize = 4;
/// How often a statement is asked in one round what else it would use.
const LAYERS: usize = 3;
/// A step that gains less than this share of the whole cost is none.
const STEP: f64 = 1e-5;
/// The planner is not asked about less than this share of the whole cost.
const ASKED: f64 = 3e-4;
/// Steps whose room is filled before the best of them is taken.
const FILLED: usize = 24;

/// The better of what two ways lead to, and what the planner adds to that.
pub(super) fn improve<M: CostModel>(
    costs: &mut Costs<'_, M>,
    starts: &[Set],
    pool: &Pool,
    limits: Limits,
    banned: &Set,
) -> Set {
    let mut offered = pool.all.clone();
    offered.difference_with(banned);
    let climbed = starts.iter().map(|start| {
        let start = fill(costs, costs.point(start), &offered, limits);
        climb(costs, start, &offered, limits)
    });
    let Some(mut best) = climbed.min_by(|a, b| a.total.total_cmp(&b.total)) else {
        return costs.none();
    };
    for _ in 0..ROUNDS {
        look_around(costs, &best, pool, &offered, limits);
        let before = costs.point(&best.set);
        best = climb(costs, before.clone(), &offered, limits);
        if best.set == before.set {
            break;
        }
    }
    best.set
}

/// Takes the best step there is, by what is known, until there is none: one index more, one for another, or one that
/// drives out whatever it needs the room of; what room is left is filled.
fn climb<M: CostModel>(
    costs: &Costs<'_, M>,
    mut point: Point,
    offered: &Set,
    limits: Limits,
) -> Point {
    loop {
        let mut steps: Vec<(f64, Option<usize>, Option<usize>)> = Vec::new();
        for out in point.set.ones() {
            if !costs.model.has_time() {
                return point;
            }
            let without = costs.without(&point, out);
            steps.push((without.total, Some(out), None));
            for instead in offered.difference(&point.set) {
                if without.bytes + costs.model.bytes(instead) <= limits.budget_bytes {
                    let gain = costs.gain(&without, instead);
                    if gain > 0.0 {
                        steps.push((without.total - gain, Some(out), Some(instead)));
                    }
                }
            }
        }
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut points: Vec<Point> = Vec::new();
        for (_, out, instead) in steps.into_iter().take(FILLED) {
            let mut changed = out.map_or_else(|| point.clone(), |out| costs.without(&point, out));
            if let Some(instead) = instead {
                costs.add(&mut changed, instead);
            }
            points.push(changed);
        }
        for more in offered.difference(&point.set) {
            if costs.model.bytes(more) <= limits.budget_bytes && costs.gain(&point, more) > 0.0 {
                if !costs.model.has_time() {
                    return point;
                }
                points.push(make_room(costs, &point, more, limits));
            }
        }
        let best = points
            .into_iter()
            .map(|changed| fill(costs, changed, offered, limits))
            .min_by(|a, b| a.total.total_cmp(&b.total));
        match best {
            Some(best) if best.total < point.total * (1.0 - STEP) => point = best,
            _ => return point,
        }
    }
}

/// With `more`, and without what is missed least for its bytes until it fits.
fn make_room<M: CostModel>(
    costs: &Costs<'_, M>,
    point: &Point,
    more: usize,
    limits: Limits,
) -> Point {
    let mut point = point.clone();
    costs.add(&mut point, more);
    loop {
        let over = point.bytes.saturating_sub(limits.budget_bytes);
        if over == 0 && point.set.count_ones(..) <= limits.max_indexes {
            return point;
        }
        let others = point.set.ones().filter(|out| *out != more);
        let least = others
            .map(|out| {
                let without = costs.without(&point, out);
                let freed = costs.model.bytes(out).min(over).max(1);
                ((without.total - point.total) / freed as f64, without)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        match least {
            Some((_, without)) => point = without,
            None => return costs.without(&point, more),
        }
    }
}

/// Adds what gains most for its bytes while it fits.
fn fill<M: CostModel>(
    costs: &Costs<'_, M>,
    mut point: Point,
    offered: &Set,
    limits: Limits,
) -> Point {
    while point.set.count_ones(..) < limits.max_indexes {
        let fitting = offered
            .difference(&point.set)
            .filter(|candidate| point.bytes + costs.model.bytes(*candidate) <= limits.budget_bytes);
        let best = fitting
            .filter_map(|candidate| {
                let gain = costs.gain(&point, candidate);
                let score = gain / costs.model.bytes(candidate).max(1) as f64;
                (gain > point.total * STEP).then_some((score, candidate))
            })
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((_, candidate)) = best else {
            break;
        };
        costs.add(&mut point, candidate);
    }
    point
}

/// Asks what each statement would use beside what it has, and what it would do without each of those that it uses.
fn look_around<M: CostModel>(
    costs: &mut Costs<'_, M>,
    point: &Point,
    pool: &Pool,
    offered: &Set,
    limits: Limits,
) {
    let set = &point.set;
    // What is larger would drive out several, and those were weighed on the way down.
    let largest = set.ones().map(|one| costs.model.bytes(one)).max();
    let room = limits.budget_bytes.saturating_sub(point.bytes);
    let limit = largest.map_or(limits.budget_bytes, |largest| largest + room);
    let mut fitting = offered.clone();
    for candidate in offered.ones() {
        if costs.model.bytes(candidate) > limit {
            fitting.set(candidate, false);
        }
    }
    fitting.union_with(set);
    for statement in costs.statements() {
        let Some(cost) = costs.ask(statement, set) else {
            continue;
        };
        let least = point.total * ASKED / costs.model.weight(statement).max(f64::MIN_POSITIVE);
        for used in costs.used(statement, set) {
            let mut without = set.clone();
            without.set(used, false);
            if costs.upper(statement, &without) - cost > least {
                costs.ask(statement, &without);
            }
        }
        let mut wide = fitting.clone();
        for _ in 0..LAYERS {
            if cost - costs.lower(statement, &wide) <= least {
                break;
            }
            let is_cheaper = costs
                .ask(statement, &wide)
                .is_some_and(|cheaper| cost - cheaper > least.max(cost * NOISE));
            let mut more = costs.used(statement, &wide);
            more.retain(|used| !set.contains(*used));
            if !is_cheaper || more.is_empty() {
                break;
            }
            for &one in &more {
                wide.set(one, false);
                for &narrow in [one].iter().chain(pool.narrower(one)) {
                    let mut with = set.clone();
                    with.insert(narrow);
                    costs.ask(statement, &with);
                }
            }
        }
    }
}
