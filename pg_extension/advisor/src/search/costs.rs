//! What plans are known to cost, and what follows from them without asking again.
//!
//! A planner that may use more indexes finds a plan that is no dearer. So a plan that was found with the indexes
//! `available`, and uses `used` of them, is the best for every set between the two: `used` ⊆ set ⊆ `available`. It
//! bounds the cost of the others too: from above for every set that has all of `used`, from below for every set that
//! `available` has all of. (The planner's own comparisons are fuzzy by a hundredth of a cost, `STD_FUZZ_FACTOR` of
//! pathnode.c; what the search answers with is planned once more.)

use fixedbitset::FixedBitSet;

use super::{CostModel, Plan};

/// Candidates, each by its number.
pub(super) type Set = FixedBitSet;

/// A plan that was asked for.
struct Known {
    available: Set,
    used: Set,
    cost: f64,
}

impl Known {
    fn plan(&self) -> Plan {
        Plan {
            cost: self.cost,
            used: self.used.ones().collect(),
        }
    }
}

/// The plans of one statement that are known.
#[derive(Default)]
struct Plans {
    known: Vec<Known>,
    /// Their positions, the cheapest first.
    by_cost: Vec<usize>,
}

pub(super) struct Costs<'a, M> {
    pub(super) model: &'a mut M,
    plans: Vec<Plans>,
    /// For each candidate the plans that use it, as statement and position.
    using: Vec<Vec<(usize, usize)>>,
    relevant: Vec<Set>,
    /// Statements whose cost is known, the most weighted cost first. The others count for nothing.
    counted: Vec<usize>,
    /// Without new indexes.
    base: Vec<f64>,
}

/// All statements with one set of indexes, by what is known.
#[derive(Clone)]
pub(super) struct Point {
    pub(super) set: Set,
    /// Cost of one execution of each statement.
    pub(super) costs: Vec<f64>,
    /// Position of the plan that it comes from.
    plans: Vec<usize>,
    /// Weighted cost of all statements, and the indexes' upkeep.
    pub(super) total: f64,
    pub(super) bytes: u64,
}

impl<'a, M: CostModel> Costs<'a, M> {
    pub(super) fn new(model: &'a mut M) -> Self {
        let (statements, candidates) = (model.statements(), model.candidates());
        let relevant = (0..statements)
            .map(|statement| {
                let mut set = Set::with_capacity(candidates);
                set.extend((0..candidates).filter(|other| model.is_relevant(statement, *other)));
                set
            })
            .collect();
        let mut costs = Self {
            plans: (0..statements).map(|_| Plans::default()).collect(),
            using: vec![Vec::new(); candidates],
            relevant,
            counted: Vec::new(),
            base: vec![0.0; statements],
            model,
        };
        let none = costs.none();
        for statement in 0..statements {
            if let Some(cost) = costs.ask(statement, &none) {
                costs.base[statement] = cost;
                costs.counted.push(statement);
            }
        }
        let weighted = |statement: &usize| costs.model.weight(*statement) * costs.base[*statement];
        costs
            .counted
            .sort_by(|a, b| weighted(b).total_cmp(&weighted(a)));
        costs
    }

    /// A candidate that does what both do. Sets that were made before have to grow for it.
    pub(super) fn merged(&mut self, one: usize, other: usize) -> Option<usize> {
        let merged = self.model.merged(one, other)?;
        while self.using.len() < self.model.candidates() {
            let fresh = self.using.len();
            self.using.push(Vec::new());
            for (statement, relevant) in self.relevant.iter_mut().enumerate() {
                relevant.grow(fresh + 1);
                relevant.set(fresh, self.model.is_relevant(statement, fresh));
            }
        }
        Some(merged)
    }

    /// The empty set.
    pub(super) fn none(&self) -> Set {
        Set::with_capacity(self.model.candidates())
    }

    /// Statements whose cost is known, the most weighted cost first.
    pub(super) fn statements(&self) -> Vec<usize> {
        self.counted.clone()
    }

    /// Cost without new indexes.
    pub(super) fn base(&self, statement: usize) -> f64 {
        self.base[statement]
    }

    pub(super) fn relevant(&self, statement: usize) -> &Set {
        &self.relevant[statement]
    }

    /// The best plan with `set`, planned where it does not follow from what is known; `None` where that fails or time is over.
    pub(super) fn ask(&mut self, statement: usize, set: &Set) -> Option<f64> {
        let available = &self.relevant[statement] & set;
        let plans = &self.plans[statement];
        let known = plans.known.iter().find(|known| {
            known.used.is_subset(&available) && available.is_subset(&known.available)
        });
        if let Some(known) = known {
            return Some(known.cost);
        }
        self.plan(statement, available).map(|known| known.cost)
    }

    /// As [`ask`](Self::ask), but of a plan that was made with exactly this set, with the candidates that it uses.
    pub(super) fn confirm(&mut self, statement: usize, set: &Set) -> Option<Plan> {
        let available = &self.relevant[statement] & set;
        let plans = &self.plans[statement];
        let known = plans
            .known
            .iter()
            .find(|known| known.available == available);
        if let Some(known) = known {
            return Some(known.plan());
        }
        self.plan(statement, available).map(Known::plan)
    }

    fn plan(&mut self, statement: usize, available: Set) -> Option<&Known> {
        if !self.model.has_time() {
            return None;
        }
        let all: Vec<usize> = available.ones().collect();
        let plan = self.model.plan(statement, &all)?;
        if !(plan.cost.is_finite() && plan.cost >= 0.0) {
            return None;
        }
        let plans = &mut self.plans[statement];
        let position = plans.known.len();
        let at = plans
            .by_cost
            .partition_point(|other| plans.known[*other].cost <= plan.cost);
        plans.by_cost.insert(at, position);
        for &candidate in &plan.used {
            self.using[candidate].push((statement, position));
        }
        let mut used = Set::with_capacity(available.len());
        used.extend(plan.used);
        plans.known.push(Known {
            available,
            used,
            cost: plan.cost,
        });
        plans.known.last()
    }

    /// Which of `set` the cheapest plan that is known for it uses.
    pub(super) fn used(&self, statement: usize, set: &Set) -> Vec<usize> {
        self.cheapest(statement, set)
            .map_or_else(Vec::new, |position| {
                self.plans[statement].known[position].used.ones().collect()
            })
    }

    /// No more than this: a plan that is known needs nothing but what is in `set`.
    pub(super) fn upper(&self, statement: usize, set: &Set) -> f64 {
        self.cheapest(statement, set)
            .map_or(self.base[statement], |position| {
                self.plans[statement].known[position].cost
            })
    }

    /// No less than this, whatever the planner finds with `set`.
    pub(super) fn lower(&self, statement: usize, set: &Set) -> f64 {
        let relevant = &self.relevant[statement] & set;
        let plans = &self.plans[statement];
        let above = plans
            .by_cost
            .iter()
            .rev()
            .map(|position| &plans.known[*position]);
        above
            .filter(|known| relevant.is_subset(&known.available))
            .map(|known| known.cost)
            .next()
            .unwrap_or(0.0)
    }

    fn cheapest(&self, statement: usize, set: &Set) -> Option<usize> {
        let plans = &self.plans[statement];
        let mut positions = plans.by_cost.iter().copied();
        positions.find(|position| plans.known[*position].used.is_subset(set))
    }

    /// What is known of all statements with `set`.
    pub(super) fn point(&self, set: &Set) -> Point {
        let mut point = Point {
            bytes: set.ones().map(|one| self.model.bytes(one)).sum(),
            set: set.clone(),
            costs: self.base.clone(),
            plans: vec![usize::MAX; self.base.len()],
            total: set.ones().map(|one| self.model.upkeep(one)).sum(),
        };
        for &statement in &self.counted {
            self.settle(&mut point, statement);
            point.total += self.model.weight(statement) * point.costs[statement];
        }
        point
    }

    fn settle(&self, point: &mut Point, statement: usize) {
        if let Some(position) = self.cheapest(statement, &point.set) {
            point.costs[statement] = self.plans[statement].known[position].cost;
            point.plans[statement] = position;
        }
    }

    /// Statements whose plan uses the candidate.
    pub(super) fn users(&self, point: &Point, candidate: usize) -> Vec<usize> {
        let mut users: Vec<usize> = self.using[candidate]
            .iter()
            .filter(|(statement, position)| point.plans[*statement] == *position)
            .map(|(statement, _)| *statement)
            .collect();
        users.sort_unstable();
        users
    }

    /// What the candidate would save beside the others, less its upkeep.
    pub(super) fn gain(&self, point: &Point, candidate: usize) -> f64 {
        let saved = self.cheaper_with(point, candidate).into_iter();
        let saved: f64 = saved
            .map(|(statement, position)| {
                let cost = self.plans[statement].known[position].cost;
                self.model.weight(statement) * (point.costs[statement] - cost)
            })
            .sum();
        saved - self.model.upkeep(candidate)
    }

    /// The statements that the candidate makes cheaper beside the others, each with its plan.
    fn cheaper_with(&self, point: &Point, candidate: usize) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for &(statement, position) in &self.using[candidate] {
            let known = &self.plans[statement].known[position];
            let is_possible = || {
                let mut others = known.used.difference(&point.set);
                others.all(|other| other == candidate)
            };
            if known.cost >= point.costs[statement] || !is_possible() {
                continue;
            }
            match found.iter_mut().find(|(other, _)| *other == statement) {
                None => found.push((statement, position)),
                Some((_, best)) if self.plans[statement].known[*best].cost > known.cost => {
                    *best = position;
                }
                Some(_) => {}
            }
        }
        found
    }

    pub(super) fn add(&self, point: &mut Point, candidate: usize) {
        for (statement, position) in self.cheaper_with(point, candidate) {
            let cost = self.plans[statement].known[position].cost;
            point.total -= self.model.weight(statement) * (point.costs[statement] - cost);
            point.costs[statement] = cost;
            point.plans[statement] = position;
        }
        point.set.insert(candidate);
        point.total += self.model.upkeep(candidate);
        point.bytes += self.model.bytes(candidate);
    }

    pub(super) fn without(&self, point: &Point, candidate: usize) -> Point {
        let mut without = point.clone();
        without.set.set(candidate, false);
        without.bytes -= self.model.bytes(candidate);
        without.total -= self.model.upkeep(candidate);
        for statement in self.users(point, candidate) {
            self.settle(&mut without, statement);
            without.total +=
                self.model.weight(statement) * (without.costs[statement] - point.costs[statement]);
        }
        without
    }
}
