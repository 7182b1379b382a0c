//! Greedy search by benefit per byte under a budget, with lazy re-evaluation.
//!
//! Each round takes the index that saves most weighted cost a byte given those taken before. A candidate's benefit is
//! asked again only when it comes first by its last known value: benefits shrink as indexes are added far more often
//! than they grow, so the first that keeps its place wins (CELF's argument; exact when benefits only shrink). A cost
//! is remembered for the subset of the set that is relevant to the statement, so it is asked once.

use std::collections::HashMap;

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

    /// Whether the candidate can change the statement's cost at all.
    fn is_relevant(&self, statement: usize, candidate: usize) -> bool;

    /// Cost of one execution when exactly the candidates in `set` (ascending, all relevant) exist beside what is
    /// there; `None` when it cannot be told, which counts as no change.
    fn cost(&mut self, statement: usize, set: &[usize]) -> Option<f64>;

    /// Whether the search may go on. Asked before each cost; once `false`, the best so far is the answer.
    fn has_time(&mut self) -> bool;
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
/// it are there.
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
}

impl Chosen {
    /// Gain in percent of the helped statements' cost.
    pub fn gain_percent(&self) -> f64 {
        if self.cost_before > 0.0 {
            100.0 * (self.cost_before - self.cost_after) / self.cost_before
        } else {
            0.0
        }
    }
}

/// A change below this share of a statement's cost is planner noise.
const NOISE: f64 = 1e-3;

/// Chooses candidates.
///
/// The result keeps to `limits`, is the same for the same costs, and is empty where nothing helps. An index that is no
/// longer worth its place beside those chosen after it (a prefix of a later one, say) is given up, and the bytes that
/// this frees are spent again.
pub fn search(model: &mut impl CostModel, limits: Limits) -> Vec<Chosen> {
    let mut search = Search {
        memo: HashMap::new(),
        model,
    };
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut given_up: Vec<usize> = Vec::new();
    loop {
        search.grow(&mut chosen, &given_up, limits);
        // Each round gives up at least one candidate for good, so this ends.
        if !search.give_up(&mut chosen, &mut given_up, limits) {
            // What was given up for the sake of one that was itself given up later may come back.
            search.grow(&mut chosen, &[], limits);
            return chosen;
        }
    }
}

struct Search<'a, M> {
    memo: HashMap<(usize, Vec<usize>), Option<f64>>,
    model: &'a mut M,
}

impl<M: CostModel> Search<'_, M> {
    /// Adds candidates, best first, while they fit.
    fn grow(&mut self, chosen: &mut Vec<Chosen>, given_up: &[usize], limits: Limits) {
        let mut taken = sorted(chosen);
        let used: u64 = taken.iter().map(|index| self.model.bytes(*index)).sum();
        let mut left = limits.budget_bytes.saturating_sub(used);
        // (benefit per byte, candidate, round in which it was asked)
        let mut queue: Vec<(f64, usize, usize)> = Vec::new();
        for candidate in 0..self.model.candidates() {
            if taken.contains(&candidate) || given_up.contains(&candidate) {
                continue;
            }
            if let Some((_, score)) = self.evaluate(&taken, candidate, limits) {
                queue.push((score, candidate, 0));
            }
        }
        let mut round = 0;
        while chosen.len() < limits.max_indexes {
            queue.retain(|(_, candidate, _)| self.model.bytes(*candidate) <= left);
            // Ties go to the candidate that was found first.
            queue.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let Some((_, candidate, asked)) = queue.first().copied() else {
                return;
            };
            let Some((suggestion, score)) = self.evaluate(&taken, candidate, limits) else {
                queue.remove(0);
                continue;
            };
            if asked < round {
                queue[0] = (score, candidate, round);
                continue;
            }
            queue.remove(0);
            left -= self.model.bytes(candidate);
            chosen.push(suggestion);
            taken = sorted(chosen);
            round += 1;
        }
    }

    /// Takes out what is not worth suggesting beside all others, and states the figures of the rest anew. `false` when
    /// everything keeps its place.
    fn give_up(
        &mut self,
        chosen: &mut Vec<Chosen>,
        given_up: &mut Vec<usize>,
        limits: Limits,
    ) -> bool {
        let before = given_up.len();
        let mut position = 0;
        while position < chosen.len() {
            let candidate = chosen[position].candidate;
            let mut rest = sorted(chosen);
            rest.retain(|other| *other != candidate);
            if self.has_costs(&rest) && self.evaluate(&rest, candidate, limits).is_none() {
                chosen.remove(position);
                given_up.push(candidate);
            } else {
                position += 1;
            }
        }
        if given_up.len() == before {
            return false;
        }
        let mut again: Vec<Chosen> = Vec::new();
        for old in chosen.drain(..) {
            match self.evaluate(&sorted(&again), old.candidate, limits) {
                Some((suggestion, _)) => again.push(suggestion),
                None => given_up.push(old.candidate),
            }
        }
        *chosen = again;
        true
    }

    /// Whether costs can still be asked: without time an unknown cost must not pass for "not worth it".
    fn has_costs(&mut self, set: &[usize]) -> bool {
        let statements = self.model.statements();
        (0..statements).all(|statement| self.cost(statement, set).is_some())
            && self.model.has_time()
    }

    /// What `candidate` brings on top of `taken`, and its score; `None` when it is not worth suggesting.
    fn evaluate(
        &mut self,
        taken: &[usize],
        candidate: usize,
        limits: Limits,
    ) -> Option<(Chosen, f64)> {
        let mut with = taken.to_vec();
        with.push(candidate);
        with.sort_unstable();
        let mut chosen = Chosen {
            candidate,
            helped: Vec::new(),
            cost_before: 0.0,
            cost_after: 0.0,
        };
        // What it makes worse counts against it: the planner can be led astray by an index.
        let mut harm = 0.0;
        for statement in 0..self.model.statements() {
            if !self.model.is_relevant(statement, candidate) {
                continue;
            }
            let (Some(before), Some(after)) =
                (self.cost(statement, taken), self.cost(statement, &with))
            else {
                continue;
            };
            let weight = self.model.weight(statement);
            if after < before * (1.0 - NOISE) {
                chosen.helped.push(Helped {
                    statement,
                    before,
                    after,
                });
                chosen.cost_before += weight * before;
                chosen.cost_after += weight * after;
            } else if after > before * (1.0 + NOISE) {
                harm += weight * (after - before);
            }
        }
        let benefit = chosen.cost_before - chosen.cost_after - harm;
        if benefit <= 0.0 || chosen.gain_percent() < limits.min_gain_percent {
            return None;
        }
        let gain = |helped: &Helped, model: &M| {
            model.weight(helped.statement) * (helped.before - helped.after)
        };
        let model = &*self.model;
        chosen.helped.sort_by(|a, b| {
            gain(b, model)
                .total_cmp(&gain(a, model))
                .then(a.statement.cmp(&b.statement))
        });
        let score = benefit / self.model.bytes(candidate).max(1) as f64;
        Some((chosen, score))
    }

    fn cost(&mut self, statement: usize, set: &[usize]) -> Option<f64> {
        let relevant: Vec<usize> = set
            .iter()
            .copied()
            .filter(|candidate| self.model.is_relevant(statement, *candidate))
            .collect();
        let key = (statement, relevant);
        if let Some(known) = self.memo.get(&key) {
            return *known;
        }
        if !self.model.has_time() {
            return None;
        }
        let cost = self
            .model
            .cost(statement, &key.1)
            .filter(|cost| cost.is_finite() && *cost >= 0.0);
        self.memo.insert(key, cost);
        cost
    }
}

fn sorted(chosen: &[Chosen]) -> Vec<usize> {
    let mut candidates: Vec<usize> = chosen.iter().map(|chosen| chosen.candidate).collect();
    candidates.sort_unstable();
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A statement costs its base times the best factor among the indexes that exist.
    #[derive(Debug, Clone)]
    struct Table {
        base: Vec<f64>,
        weights: Vec<f64>,
        bytes: Vec<u64>,
        factors: Vec<Vec<f64>>,
        calls: usize,
        limit: usize,
    }

    impl CostModel for Table {
        fn statements(&self) -> usize {
            self.base.len()
        }
        fn weight(&self, statement: usize) -> f64 {
            self.weights[statement]
        }
        fn candidates(&self) -> usize {
            self.bytes.len()
        }
        fn bytes(&self, candidate: usize) -> u64 {
            self.bytes[candidate]
        }
        fn is_relevant(&self, statement: usize, candidate: usize) -> bool {
            self.factors[statement][candidate] < 1.0
        }
        fn cost(&mut self, statement: usize, set: &[usize]) -> Option<f64> {
            self.calls += 1;
            let best = set
                .iter()
                .map(|c| self.factors[statement][*c])
                .fold(1.0, f64::min);
            Some(self.base[statement] * best)
        }
        fn has_time(&mut self) -> bool {
            self.calls < self.limit
        }
    }

    const LIMITS: Limits = Limits {
        budget_bytes: 1000,
        max_indexes: 10,
        min_gain_percent: 5.0,
        max_regression_percent: 10.0,
    };

    fn table() -> Table {
        Table {
            base: vec![1000.0, 1000.0],
            weights: vec![10.0, 1.0],
            bytes: vec![100, 100, 100],
            // 0 helps both a little, 1 helps the frequent one, 2 hardly anything.
            factors: vec![vec![0.5, 0.1, 1.0], vec![0.5, 1.0, 0.97]],
            calls: 0,
            limit: usize::MAX,
        }
    }

    #[test]
    fn the_frequent_statement_goes_first_and_figures_are_marginal() {
        let found = search(&mut table(), LIMITS);
        assert_eq!(
            found.iter().map(|c| c.candidate).collect::<Vec<_>>(),
            [1, 0]
        );
        assert_eq!(
            (found[0].cost_before, found[0].cost_after),
            (10_000.0, 1_000.0)
        );
        // The frequent statement has its index already: only the other one is helped.
        assert_eq!(
            found[1].helped,
            [Helped {
                statement: 1,
                before: 1000.0,
                after: 500.0
            }]
        );
    }

    #[test]
    fn an_index_that_a_later_one_replaces_is_given_up() {
        // 0 is small and good for both; 1 is larger, as good for the first and far better for the second.
        let mut model = Table {
            base: vec![1000.0, 100.0],
            weights: vec![1.0, 1.0],
            bytes: vec![10, 100],
            factors: vec![vec![0.1, 0.101], vec![0.9, 0.01]],
            calls: 0,
            limit: usize::MAX,
        };
        let found = search(&mut model, LIMITS);
        assert_eq!(found.iter().map(|c| c.candidate).collect::<Vec<_>>(), [1]);
        assert_eq!((found[0].cost_before, found[0].cost_after), (1100.0, 102.0));
    }

    #[test]
    fn small_gains_large_indexes_and_numbers_are_held_back() {
        let mut model = table();
        model.bytes = vec![2000, 2000, 1];
        assert!(search(&mut model, LIMITS).is_empty());
        let one = search(
            &mut table(),
            Limits {
                max_indexes: 1,
                ..LIMITS
            },
        );
        assert_eq!(one.len(), 1);
    }

    #[test]
    fn without_time_nothing_is_claimed() {
        let mut model = table();
        model.limit = 0;
        assert!(search(&mut model, LIMITS).is_empty());
    }

    #[test]
    fn an_index_that_harms_more_than_it_helps_is_left_out() {
        struct Harm;
        impl CostModel for Harm {
            fn statements(&self) -> usize {
                2
            }
            fn weight(&self, statement: usize) -> f64 {
                [1.0, 100.0][statement]
            }
            fn candidates(&self) -> usize {
                1
            }
            fn bytes(&self, _: usize) -> u64 {
                1
            }
            fn is_relevant(&self, _: usize, _: usize) -> bool {
                true
            }
            fn cost(&mut self, statement: usize, set: &[usize]) -> Option<f64> {
                Some(match (statement, set.is_empty()) {
                    (0, false) => 10.0,
                    (1, false) => 200.0,
                    _ => 100.0,
                })
            }
            fn has_time(&mut self) -> bool {
                true
            }
        }
        assert!(search(&mut Harm, LIMITS).is_empty());
    }

    fn model() -> impl Strategy<Value = Table> {
        (1_usize..6, 1_usize..8).prop_flat_map(|(statements, candidates)| {
            let factors =
                prop::collection::vec(prop::collection::vec(0.01..1.2_f64, candidates), statements);
            (
                prop::collection::vec(1.0..1e6_f64, statements),
                prop::collection::vec(0.0..1e4_f64, statements),
                prop::collection::vec(1_u64..500, candidates),
                factors,
            )
                .prop_map(|(base, weights, bytes, factors)| Table {
                    base,
                    weights,
                    bytes,
                    factors,
                    calls: 0,
                    limit: usize::MAX,
                })
        })
    }

    proptest! {
        #[test]
        fn every_answer_keeps_its_promises(mut model in model(), budget in 0_u64..1500, most in 0_usize..5) {
            let limits = Limits { budget_bytes: budget, max_indexes: most, min_gain_percent: 5.0, max_regression_percent: 10.0 };
            let found = search(&mut model, limits);
            prop_assert!(found.len() <= most);
            prop_assert!(found.iter().map(|c| model.bytes[c.candidate]).sum::<u64>() <= budget);
            let mut set = Vec::new();
            for chosen in &found {
                prop_assert!(!set.contains(&chosen.candidate), "taken twice");
                prop_assert!(chosen.gain_percent() >= 5.0 && !chosen.helped.is_empty());
                for helped in &chosen.helped {
                    let before = model.cost(helped.statement, &set).unwrap();
                    let with: Vec<usize> = set.iter().copied().chain([chosen.candidate]).collect();
                    let after = model.cost(helped.statement, &with).unwrap();
                    prop_assert!((helped.before - before).abs() < 1e-9 && (helped.after - after).abs() < 1e-9);
                }
                set.push(chosen.candidate);
            }
            // Nothing that fits and pays was left lying: the model's benefits only shrink, so greedy is maximal.
            let used: u64 = set.iter().map(|c| model.bytes[*c]).sum();
            if found.len() < most {
                for candidate in (0..model.bytes.len()).filter(|c| !set.contains(c)) {
                    if used + model.bytes[candidate] > budget {
                        continue;
                    }
                    let mut search = Search { memo: HashMap::new(), model: &mut model };
                    let mut sorted = set.clone();
                    sorted.sort_unstable();
                    prop_assert!(search.evaluate(&sorted, candidate, limits).is_none());
                }
            }
        }

        #[test]
        fn the_same_costs_give_the_same_answer(model in model()) {
            prop_assert_eq!(search(&mut model.clone(), LIMITS), search(&mut model.clone(), LIMITS));
        }
    }
}
