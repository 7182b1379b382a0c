//! Which candidates are worth a thought: those that the planner picks when it may pick any.

use super::costs::{Costs, Set};
use super::{CostModel, Limits, NOISE};

/// How often a statement is planned without what its earlier plans used.
const LAYERS: usize = 4;

/// What the statements' plans use, and what is narrower than that.
pub(super) struct Pool {
    /// Used when each statement may use all.
    pub(super) first: Set,
    /// Used by a plan at all, and what does part of their work for fewer bytes.
    pub(super) all: Set,
    /// For each candidate those that are narrower, if it is used.
    narrower: Vec<Vec<usize>>,
}

impl Pool {
    /// Those that are narrower than one that a plan used, the widest first.
    pub(super) fn narrower(&self, wide: usize) -> &[usize] {
        self.narrower.get(wide).map_or(&[], Vec::as_slice)
    }
}

/// Plans each statement with all candidates, then without what that plan used, and so on.
pub(super) fn gather<M: CostModel>(costs: &mut Costs<'_, M>, limits: Limits) -> Pool {
    let mut first = costs.none();
    let mut all = costs.none();
    let statements = costs.statements();
    let mut left: Vec<Set> = statements
        .iter()
        .map(|statement| {
            let relevant = costs.relevant(*statement).ones();
            let mut fitting = costs.none();
            fitting.extend(
                relevant.filter(|candidate| costs.model.bytes(*candidate) <= limits.budget_bytes),
            );
            fitting
        })
        .collect();
    let mut picked = vec![Vec::new(); statements.len()];
    // Layer by layer, so that when time is over no statement was left out for the sake of another's third choice.
    for layer in 0..LAYERS {
        for (position, &statement) in statements.iter().enumerate() {
            if left[position].is_clear() {
                continue;
            }
            let gains = costs
                .ask(statement, &left[position])
                .is_some_and(|cost| cost < costs.base(statement) * (1.0 - NOISE));
            let used = costs.used(statement, &left[position]).to_vec();
            if !gains || used.is_empty() {
                left[position].clear();
                continue;
            }
            picked[position].extend(&used);
            for candidate in used {
                left[position].set(candidate, false);
                all.insert(candidate);
                if layer == 0 {
                    first.insert(candidate);
                }
            }
        }
    }
    let used = all.clone();
    for narrow in narrower(costs, &used) {
        all.extend(narrow);
    }
    costs.model.weigh(&all.ones().collect::<Vec<_>>());
    let narrower = narrower(costs, &used);
    for (position, &statement) in statements.iter().enumerate() {
        let mut alone: Vec<usize> = Vec::new();
        for &used in &picked[position] {
            alone.push(used);
            alone.extend(&narrower[used]);
        }
        alone.sort_unstable();
        alone.dedup();
        for candidate in alone {
            let mut set = costs.none();
            set.insert(candidate);
            costs.ask(statement, &set);
        }
    }
    Pool {
        first,
        all,
        narrower,
    }
}

fn narrower<M: CostModel>(costs: &Costs<'_, M>, pool: &Set) -> Vec<Vec<usize>> {
    let candidates = costs.model.candidates();
    let mut found = vec![Vec::new(); candidates];
    for wide in pool.ones() {
        found[wide] = (0..candidates)
            .filter(|narrow| {
                costs.model.is_narrower(*narrow, wide)
                    && costs.model.bytes(*narrow) < costs.model.bytes(wide)
            })
            .collect();
        found[wide].sort_by_key(|narrow| std::cmp::Reverse(costs.model.bytes(*narrow)));
    }
    found
}
