//! Which indexes together save most within a budget.
//!
//! The planner says for each statement which candidates it would use if it could use any ([`pool`]); all of those are
//! taken, and given up again one by one until they fit ([`relax`]); then what stands beside the result is searched
//! ([`improve`]), what is much smaller and does as well is taken ([`slim`]), and one in the place of two ([`merge`]). What a plan costs follows from other plans wherever it can ([`costs`]).

mod costs;
mod improve;
mod merge;
mod pool;
mod relax;
mod slim;

use costs::{Costs, Point, Set};
use pool::Pool;

/// Answers what statements would cost.
pub trait CostModel {
    /// Number of statements.
    fn statements(&self) -> usize;

    /// How much a statement counts: its calls. Not negative.
    fn weight(&self, statement: usize) -> f64;

    /// Number of candidates.
    fn candidates(&self) -> usize;

    /// Size of a candidate in bytes.
    fn bytes(&self, candidate: usize) -> u64;

    /// Told once, before the first byte is given up: these are the candidates that plans use. What they weigh may be another thing
    /// afterwards.
    fn weigh(&mut self, candidates: &[usize]) {
        let _ = candidates;
    }

    /// Whether the candidate can change the statement's cost at all.
    fn is_relevant(&self, statement: usize, candidate: usize) -> bool;

    /// What keeping a candidate costs while its table is written, in the same units as weighted costs. Not negative.
    fn upkeep(&self, candidate: usize) -> f64;

    /// Whether `narrow` does a part of what `wide` does, for fewer bytes.
    fn is_narrower(&self, narrow: usize, wide: usize) -> bool;

    /// Where `other` answers the look-ups of `one`: the share of its statements' cost that `one` has to save beside it, for both to be in
    /// one answer.
    fn least_beside(&self, one: usize, other: usize) -> Option<f64> {
        let _ = (one, other);
        None
    }

    /// A candidate that does what both do, made now where there is none yet: it has the next number then, and [`candidates`](Self::candidates)
    /// counts it. `None` where there can be no such one.
    fn merged(&mut self, one: usize, other: usize) -> Option<usize> {
        let _ = (one, other);
        None
    }

    /// The best plan of one execution when exactly the candidates in `available` (ascending, all relevant) exist
    /// beside what is there; `None` when it cannot be told.
    fn plan(&mut self, statement: usize, available: &[usize]) -> Option<Plan>;

    /// Whether the search may go on. Asked before each plan and between steps that take a while; once `false`, the best so far
    /// is the answer.
    fn has_time(&self) -> bool;
}

/// A plan for one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Of one execution.
    pub cost: f64,
    /// Candidates that it uses.
    pub used: Vec<usize>,
}

/// What the answer has to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes of all suggestions together.
    pub budget_bytes: u64,
    /// Number of suggestions.
    pub max_indexes: usize,
    /// Least gain, in percent of the helped statements' cost, that a suggestion must bring.
    pub min_gain_percent: f64,
    /// Most by which the cost of a statement may grow, in percent.
    pub max_regression_percent: f64,
}

/// One statement that a suggestion makes cheaper; costs of one execution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Helped {
    /// The statement.
    pub statement: usize,
    /// With the suggestions before this one.
    pub before: f64,
    /// With this one too.
    pub after: f64,
}

/// One suggestion. Suggestions come in the order in which they should be built: each figure holds when those before
/// it are there, but where it `is_together`.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The candidate.
    pub candidate: usize,
    /// Statements that it helps, most weighted gain first.
    pub helped: Vec<Helped>,
    /// Weighted cost of the helped statements before.
    pub cost_before: f64,
    /// Weighted cost of the helped statements after.
    pub cost_after: f64,
    /// What keeping it costs while its table is written.
    pub upkeep: f64,
    /// It does most of its work together with suggestions that come after it, as indexes on the arms of an OR do: its figures hold when
    /// all of the answer is there, and say what would be lost without it.
    pub is_together: bool,
}

impl Chosen {
    /// Gain, less the upkeep, in percent of the helped statements' cost; negative where it costs more than it saves.
    pub fn gain_percent(&self) -> f64 {
        if self.cost_before > 0.0 {
            100.0 * (self.cost_before - self.cost_after - self.upkeep) / self.cost_before
        } else {
            0.0
        }
    }
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In the order in which they should be built.
    pub chosen: Vec<Chosen>,
    /// Of each statement its plan with all of them; none where it cannot be told or nothing chosen matters to it.
    pub plans: Vec<Option<Plan>>,
    /// Candidates that a plan used when it could use any that fit, that do a part of the work of such a one, or that of two.
    pub picked: Vec<usize>,
    /// Candidates that would save something beside the chosen ones, but not what keeping them costs.
    pub outweighed: Vec<usize>,
    /// Candidates that were taken out again, because they save too little.
    pub slight: Vec<usize>,
}

/// A change below this share of a statement's cost is planner noise.
const NOISE: f64 = 1e-3;
/// The planner itself tells costs apart no finer than this (`STD_FUZZ_FACTOR`).
const FUZZ: f64 = 1e-2;

/// Share of what the whole workload costs in the end that an index has to save for each MB that it takes, and the most that is
/// asked of one. Not of what it costs now: beside one statement that cries for an index all others would be nothing.
const LEAST_SHARE_A_MB: f64 = 5e-5;
const MOST_ASKED: f64 = 5e-3;
/// How often it is searched for what could take the place of those that were taken out.
const ROUNDS: usize = 3;

/// An index does its work together with others where without it so many times as much would be lost as it saves before they are there.
const TOGETHER: f64 = 2.0;

/// Chooses candidates.
///
/// The result keeps to `limits`, is the same for the same costs, and is empty where nothing helps. When time is over,
/// the best that is known by then is the answer.
pub fn search(model: &mut impl CostModel, limits: Limits) -> Found {
    let mut costs = Costs::new(model);
    let pool = pool::gather(&mut costs, limits);
    let relaxed = relax::relax(&mut costs, pool.first.clone(), &pool, limits);
    let mut starts: Vec<Set> = relaxed.into_iter().chain([costs.none()]).collect();
    let (mut banned, mut slight) = (costs.none(), costs.none());
    let mut rounds = 0;
    let given = costs.model.candidates();
    // Each round bans at least one candidate for good, so this ends.
    loop {
        rounds += 1;
        let mut set = improve::improve(&mut costs, &starts, &pool, limits, &banned);
        set = slim::slim(&mut costs, set, &pool, &banned);
        set = merge::merge(&mut costs, set, &banned);
        banned.grow(costs.model.candidates());
        slight.grow(costs.model.candidates());
        let mut chosen = ordered(&mut costs, &set);
        let mut is_pruned = false;
        while let Some(candidate) = too_little(&costs, &set, &chosen, limits) {
            set.set(candidate, false);
            banned.insert(candidate);
            slight.insert(candidate);
            chosen = ordered(&mut costs, &set);
            is_pruned = true;
        }
        // What takes their place is hardly ever worth more.
        if !is_pruned || rounds >= ROUNDS {
            let trimmed = slim::trim(&mut costs, set.clone(), &pool, &banned);
            if trimmed != set {
                set = trimmed;
                chosen = ordered(&mut costs, &set);
            }
            let plans = confirmed(&mut costs, &set);
            let Some(candidate) = astray(&costs, &set, &chosen, &plans, limits) else {
                return Found {
                    outweighed: outweighed(&costs, &set, &pool),
                    slight: slight.ones().collect(),
                    chosen,
                    plans,
                    picked: pool
                        .all
                        .ones()
                        .chain(given..costs.model.candidates())
                        .collect(),
                };
            };
            banned.insert(candidate);
            set.set(candidate, false);
        }
        starts = vec![set];
    }
}

/// Candidates that writes alone speak against.
fn outweighed<M: CostModel>(costs: &Costs<'_, M>, set: &Set, pool: &Pool) -> Vec<usize> {
    let point = costs.point(set);
    let is_outweighed = |candidate: &usize| {
        let gain = costs.gain(&point, *candidate);
        gain <= 0.0 && gain + costs.model.upkeep(*candidate) > 0.0
    };
    let left = pool.all.difference(set);
    left.filter(is_outweighed).collect()
}

/// The plans with all that was chosen, made with exactly that.
fn confirmed<M: CostModel>(costs: &mut Costs<'_, M>, set: &Set) -> Vec<Option<Plan>> {
    let mut plans = vec![None; costs.model.statements()];
    for statement in costs.statements() {
        if !costs.relevant(statement).is_disjoint(set) {
            plans[statement] = costs.confirm(statement, set);
        }
    }
    plans
}

/// A candidate of the answer that brings too little: to its statements, to the whole workload, or beside one that does the same.
fn too_little<M: CostModel>(
    costs: &Costs<'_, M>,
    set: &Set,
    chosen: &[Chosen],
    limits: Limits,
) -> Option<usize> {
    let point = costs.point(set);
    let is_slight = |chosen: &&Chosen| {
        let mb = costs.model.bytes(chosen.candidate) as f64 / (1024.0 * 1024.0);
        let least = point.total * (LEAST_SHARE_A_MB * mb).min(MOST_ASKED);
        chosen.helped.is_empty()
            || chosen.gain_percent() < limits.min_gain_percent.max(f64::MIN_POSITIVE)
            || chosen.cost_before - chosen.cost_after - chosen.upkeep < least
    };
    if let Some(chosen) = chosen.iter().rev().find(is_slight) {
        return Some(chosen.candidate);
    }
    let mut slight: Vec<(f64, usize)> = set
        .ones()
        .filter_map(|one| {
            let others = set.ones().filter(|other| *other != one);
            let least = others
                .filter_map(|other| costs.model.least_beside(one, other))
                .max_by(f64::total_cmp)?;
            let without = costs.without(&point, one);
            let users = costs.users(&point, one);
            let users = users.into_iter();
            let of_users = users.map(|user| costs.model.weight(user) * without.costs[user]);
            let saved = without.total - point.total;
            let share = saved / of_users.sum::<f64>().max(f64::MIN_POSITIVE);
            (share < least).then_some((share, one))
        })
        .collect();
    slight.sort_by(|a, b| a.0.total_cmp(&b.0));
    slight.first().map(|(_, one)| *one)
}

/// A candidate of the answer that leads the planner astray: by how plans are priced none should ever get dearer, but what is
/// promised is what was planned.
fn astray<M: CostModel>(
    costs: &Costs<'_, M>,
    set: &Set,
    chosen: &[Chosen],
    plans: &[Option<Plan>],
    limits: Limits,
) -> Option<usize> {
    let mut harm = vec![0.0; costs.model.candidates()];
    for (statement, plan) in plans.iter().enumerate() {
        let Some(Plan { cost, used }) = plan else {
            continue;
        };
        let (believed, base) = (costs.upper(statement, set), costs.base(statement));
        let largest = used
            .iter()
            .copied()
            .max_by_key(|used| costs.model.bytes(*used));
        let Some(blamed) = largest.filter(|_| *cost > believed * (1.0 + FUZZ)) else {
            continue;
        };
        if *cost > base * (1.0 + limits.max_regression_percent / 100.0) {
            return Some(blamed);
        }
        harm[blamed] += costs.model.weight(statement) * (cost - believed);
    }
    chosen
        .iter()
        .find(|chosen| harm[chosen.candidate] > chosen.cost_before - chosen.cost_after)
        .map(|chosen| chosen.candidate)
}

/// Sets the candidates of `set` in the order in which they should be built, with what each brings.
fn ordered<M: CostModel>(costs: &mut Costs<'_, M>, set: &Set) -> Vec<Chosen> {
    // From the last to the first: what is missed least goes last.
    let mut chosen = Vec::new();
    let all = costs.point(set);
    let mut point = all.clone();
    while let Some(candidate) = relax::least_missed(costs, &point) {
        let users = costs.users(&point, candidate);
        point.set.set(candidate, false);
        let before = costs.point(&point.set);
        let alone = difference(costs, candidate, users, &before, &point);
        let users = costs.users(&all, candidate);
        let without = costs.without(&all, candidate);
        let together = difference(costs, candidate, users, &without, &all);
        let saved = |chosen: &Chosen| chosen.cost_before - chosen.cost_after;
        chosen.push(if saved(&together) > TOGETHER * saved(&alone) {
            Chosen {
                is_together: true,
                ..together
            }
        } else {
            alone
        });
        point = before;
    }
    chosen.reverse();
    chosen
}

fn difference<M: CostModel>(
    costs: &Costs<'_, M>,
    candidate: usize,
    users: Vec<usize>,
    before: &Point,
    after: &Point,
) -> Chosen {
    let mut helped: Vec<Helped> = users
        .into_iter()
        .map(|statement| Helped {
            statement,
            before: before.costs[statement],
            after: after.costs[statement],
        })
        .filter(|helped| helped.after < helped.before * (1.0 - NOISE))
        .collect();
    let weight = |helped: &Helped| costs.model.weight(helped.statement);
    helped.sort_by(|a, b| {
        let gain = |helped: &Helped| weight(helped) * (helped.before - helped.after);
        gain(b)
            .total_cmp(&gain(a))
            .then(a.statement.cmp(&b.statement))
    });
    let sum = |cost: fn(&Helped) -> f64| helped.iter().map(|h| weight(h) * cost(h)).sum();
    Chosen {
        candidate,
        cost_before: sum(|helped| helped.before),
        cost_after: sum(|helped| helped.after),
        upkeep: costs.model.upkeep(candidate),
        helped,
        is_together: false,
    }
}

#[cfg(test)]
mod tests;
