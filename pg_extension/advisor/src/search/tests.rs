//! The search on small tables whose best answer is known.

use super::*;
use proptest::prelude::*;

/// A statement costs its base times the best factor among the indexes that exist.
#[derive(Debug, Clone)]
struct Table {
    base: Vec<f64>,
    weights: Vec<f64>,
    bytes: Vec<u64>,
    factors: Vec<Vec<f64>>,
    upkeep: Vec<f64>,
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
    fn upkeep(&self, candidate: usize) -> f64 {
        self.upkeep[candidate]
    }
    fn is_narrower(&self, _: usize, _: usize) -> bool {
        false
    }
    fn plan(&mut self, statement: usize, set: &[usize]) -> Option<Plan> {
        self.calls += 1;
        let factors = &self.factors[statement];
        let best = set
            .iter()
            .copied()
            .filter(|candidate| factors[*candidate] < 1.0)
            .min_by(|a, b| factors[*a].total_cmp(&factors[*b]));
        Some(Plan {
            cost: self.base[statement] * best.map_or(1.0, |candidate| factors[candidate]),
            used: best.into_iter().collect(),
        })
    }
    fn has_time(&self) -> bool {
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
        upkeep: vec![0.0; 3],
        calls: 0,
        limit: usize::MAX,
    }
}

#[test]
fn the_frequent_statement_goes_first_and_figures_are_marginal() {
    let found = search(&mut table(), LIMITS).chosen;
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
        upkeep: vec![0.0; 2],
        calls: 0,
        limit: usize::MAX,
    };
    let found = search(&mut model, LIMITS).chosen;
    assert_eq!(found.iter().map(|c| c.candidate).collect::<Vec<_>>(), [1]);
    assert_eq!((found[0].cost_before, found[0].cost_after), (1100.0, 102.0));
}

#[test]
fn small_gains_large_indexes_and_numbers_are_held_back() {
    let mut model = table();
    model.bytes = vec![2000, 2000, 1];
    assert!(search(&mut model, LIMITS).chosen.is_empty());
    let one = search(
        &mut table(),
        Limits {
            max_indexes: 1,
            ..LIMITS
        },
    )
    .chosen;
    assert_eq!(one.len(), 1);
}

#[test]
fn what_hardly_counts_in_the_whole_is_left_out() {
    let mut model = table();
    // Half of the second statement is saved, by an index of 20 MB: that has to be a thousandth of the load.
    model.bytes = vec![20 << 20, 100, 100];
    model.factors = vec![vec![1.0, 0.1, 1.0], vec![0.5, 1.0, 1.0]];
    let limits = Limits {
        budget_bytes: 100 << 20,
        ..LIMITS
    };
    for (weight, chosen) in [(0.001, vec![1]), (0.003, vec![1, 0])] {
        model.weights = vec![10.0, weight];
        let found = search(&mut model.clone(), limits);
        let candidates: Vec<usize> = found.chosen.iter().map(|one| one.candidate).collect();
        assert_eq!(candidates, chosen, "{weight}");
        assert_eq!(found.slight.contains(&0), weight < 0.002);
    }
    // A small one is worth it all the same.
    model.bytes = vec![100; 3];
    model.weights = vec![10.0, 0.001];
    assert_eq!(search(&mut model, limits).chosen.len(), 2);
}

#[test]
fn beside_one_that_answers_the_same_a_gain_has_to_be_large() {
    /// The first candidate helps both statements, the second, which is like it, one of them still more.
    struct Beside(f64);
    impl CostModel for Beside {
        fn statements(&self) -> usize {
            2
        }
        fn weight(&self, _: usize) -> f64 {
            1.0
        }
        fn candidates(&self) -> usize {
            2
        }
        fn bytes(&self, _: usize) -> u64 {
            100
        }
        fn is_relevant(&self, statement: usize, candidate: usize) -> bool {
            statement <= candidate || candidate == 0
        }
        fn upkeep(&self, _: usize) -> f64 {
            0.0
        }
        fn is_narrower(&self, _: usize, _: usize) -> bool {
            false
        }
        fn least_beside(&self, one: usize, other: usize) -> Option<f64> {
            ((one, other) == (1, 0)).then_some(0.2)
        }
        fn plan(&mut self, statement: usize, set: &[usize]) -> Option<Plan> {
            let (cost, used) = match (statement, set) {
                (_, []) | (0, [1]) => (1000.0, vec![]),
                (1, [1] | [0, 1]) => (100.0 * self.0, vec![1]),
                _ => (100.0, vec![0]),
            };
            Some(Plan { cost, used })
        }
        fn has_time(&self) -> bool {
            true
        }
    }
    let chosen = |factor| -> Vec<usize> {
        let found = search(&mut Beside(factor), LIMITS);
        found.chosen.iter().map(|one| one.candidate).collect()
    };
    assert_eq!(chosen(0.5), [0, 1]);
    assert_eq!(chosen(0.9), [0]);
}

#[test]
fn an_index_that_costs_more_than_it_saves_is_left_out() {
    let mut model = table();
    model.upkeep = vec![0.0, 3_000.0, 0.0];
    let found = search(&mut model, LIMITS).chosen;
    assert_eq!(found.len(), 2);
    // What it leaves of the gain is what counts.
    model.upkeep = vec![0.0, 4_100.0, 0.0];
    let found = search(&mut model, LIMITS);
    // It would save 4,000 beside the other, the third nothing at all.
    assert_eq!(found.outweighed, [1]);
    let found = found.chosen;
    let taken: Vec<usize> = found.iter().map(|chosen| chosen.candidate).collect();
    assert_eq!(taken, [0]);
    assert_eq!(found[0].upkeep, 0.0);
}

#[test]
fn without_time_nothing_is_claimed() {
    let mut model = table();
    model.limit = 0;
    assert!(search(&mut model, LIMITS).chosen.is_empty());
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
        fn upkeep(&self, _: usize) -> f64 {
            0.0
        }
        fn is_narrower(&self, _: usize, _: usize) -> bool {
            false
        }
        fn plan(&mut self, statement: usize, set: &[usize]) -> Option<Plan> {
            let cost = match (statement, set.is_empty()) {
                (0, false) => 10.0,
                (1, false) => 200.0,
                _ => 100.0,
            };
            Some(Plan {
                cost,
                used: set.to_vec(),
            })
        }
        fn has_time(&self) -> bool {
            true
        }
    }
    assert!(search(&mut Harm, LIMITS).chosen.is_empty());
}

#[test]
fn what_is_much_smaller_and_does_as_well_is_taken() {
    /// A wide candidate, and a narrow one that costs so much more.
    struct Alike(f64, u64);
    impl CostModel for Alike {
        fn statements(&self) -> usize {
            1
        }
        fn weight(&self, _: usize) -> f64 {
            1.0
        }
        fn candidates(&self) -> usize {
            2
        }
        fn bytes(&self, candidate: usize) -> u64 {
            [100, self.1][candidate]
        }
        fn is_relevant(&self, _: usize, _: usize) -> bool {
            true
        }
        fn upkeep(&self, _: usize) -> f64 {
            0.0
        }
        fn is_narrower(&self, narrow: usize, wide: usize) -> bool {
            (narrow, wide) == (1, 0)
        }
        fn plan(&mut self, _: usize, set: &[usize]) -> Option<Plan> {
            let (cost, used) = match set {
                [] => (1000.0, Vec::new()),
                [1] => (10.0 + self.0, vec![1]),
                _ => (10.0, vec![0]),
            };
            Some(Plan { cost, used })
        }
        fn has_time(&self) -> bool {
            true
        }
    }
    let chosen = |dearer, bytes| -> Vec<usize> {
        let found = search(&mut Alike(dearer, bytes), LIMITS);
        found.chosen.iter().map(|one| one.candidate).collect()
    };
    assert_eq!(chosen(0.5, 10), [1]);
    assert_eq!(chosen(50.0, 10), [0]);
    assert_eq!(chosen(0.5, 90), [0]);
}

#[test]
fn no_statement_gets_dearer_by_more_than_allowed() {
    /// The first statement gains half, the second loses a twentieth.
    struct Astray;
    impl CostModel for Astray {
        fn statements(&self) -> usize {
            2
        }
        fn weight(&self, _: usize) -> f64 {
            1.0
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
        fn upkeep(&self, _: usize) -> f64 {
            0.0
        }
        fn is_narrower(&self, _: usize, _: usize) -> bool {
            false
        }
        fn plan(&mut self, statement: usize, set: &[usize]) -> Option<Plan> {
            let with = [50.0, 105.0][statement];
            Some(Plan {
                cost: if set.is_empty() { 100.0 } else { with },
                used: set.to_vec(),
            })
        }
        fn has_time(&self) -> bool {
            true
        }
    }
    let at_most = |max_regression_percent| {
        let limits = Limits {
            max_regression_percent,
            ..LIMITS
        };
        search(&mut Astray, limits)
    };
    let found = at_most(10.0);
    assert_eq!(found.chosen.len(), 1);
    assert_eq!(found.plans[1].as_ref().map(|plan| plan.cost), Some(105.0));
    assert!(at_most(1.0).chosen.is_empty());
}

fn model() -> impl Strategy<Value = Table> {
    (1_usize..6, 1_usize..8).prop_flat_map(|(statements, candidates)| {
        let factors =
            prop::collection::vec(prop::collection::vec(0.01..1.2_f64, candidates), statements);
        (
            prop::collection::vec(0.0..1e5_f64, candidates),
            prop::collection::vec(1.0..1e6_f64, statements),
            prop::collection::vec(0.0..1e4_f64, statements),
            prop::collection::vec(1_u64..500, candidates),
            factors,
        )
            .prop_map(|(upkeep, base, weights, bytes, factors)| Table {
                upkeep,
                base,
                weights,
                bytes,
                factors,
                calls: 0,
                limit: usize::MAX,
            })
    })
}

/// One statement with an OR, which two indexes help together; a third one helps a little by itself.
struct Arms;

impl CostModel for Arms {
    fn statements(&self) -> usize {
        1
    }
    fn weight(&self, _: usize) -> f64 {
        1.0
    }
    fn candidates(&self) -> usize {
        3
    }
    fn bytes(&self, _: usize) -> u64 {
        100
    }
    fn is_relevant(&self, _: usize, _: usize) -> bool {
        true
    }
    fn upkeep(&self, _: usize) -> f64 {
        0.0
    }
    fn is_narrower(&self, _: usize, _: usize) -> bool {
        false
    }
    fn plan(&mut self, _: usize, set: &[usize]) -> Option<Plan> {
        let (cost, used) = match set {
            [0, 1, ..] => (10.0, vec![0, 1]),
            [.., 2] => (900.0, vec![2]),
            _ => (1000.0, Vec::new()),
        };
        Some(Plan { cost, used })
    }
    fn has_time(&self) -> bool {
        true
    }
}

#[test]
fn two_that_help_together_alone_are_both_in_the_answer() {
    let found = search(&mut Arms, LIMITS).chosen;
    let figures: Vec<(bool, f64, f64)> = found
        .iter()
        .map(|one| (one.is_together, one.cost_before, one.cost_after))
        .collect();
    assert_eq!(figures, [(true, 1000.0, 10.0), (false, 1000.0, 10.0)]);
    let mut all: Vec<usize> = found.iter().map(|one| one.candidate).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1]);
}

/// Two statements that want the same keys and read other columns beside; what does for both is made on demand.
struct Twins {
    /// Cost of either statement with what does both.
    merged: f64,
    made: bool,
}

impl CostModel for Twins {
    fn statements(&self) -> usize {
        2
    }
    fn weight(&self, _: usize) -> f64 {
        1.0
    }
    fn candidates(&self) -> usize {
        2 + usize::from(self.made)
    }
    fn bytes(&self, candidate: usize) -> u64 {
        [100, 100, 130][candidate]
    }
    fn is_relevant(&self, statement: usize, candidate: usize) -> bool {
        candidate == 2 || candidate == statement
    }
    fn upkeep(&self, _: usize) -> f64 {
        0.0
    }
    fn is_narrower(&self, _: usize, _: usize) -> bool {
        false
    }
    fn merged(&mut self, one: usize, other: usize) -> Option<usize> {
        assert!(one < 2 && other < 2);
        self.made = true;
        Some(2)
    }
    fn plan(&mut self, statement: usize, set: &[usize]) -> Option<Plan> {
        let (cost, used) = match set {
            set if set.contains(&statement) => (10.0, vec![statement]),
            set if set.contains(&2) => (self.merged, vec![2]),
            _ => (1000.0, Vec::new()),
        };
        Some(Plan { cost, used })
    }
    fn has_time(&self) -> bool {
        true
    }
}

#[test]
fn one_index_takes_the_place_of_two_where_little_is_given_up() {
    let chosen = |merged| {
        let found = search(
            &mut Twins {
                merged,
                made: false,
            },
            LIMITS,
        )
        .chosen;
        let mut chosen: Vec<usize> = found.iter().map(|chosen| chosen.candidate).collect();
        chosen.sort_unstable();
        chosen
    };
    assert_eq!(chosen(12.0), [2]);
    assert_eq!(chosen(100.0), [0, 1]);
}

proptest! {
    #[test]
    fn every_answer_keeps_its_promises(mut model in model(), budget in 0_u64..1500, most in 0_usize..5) {
        let limits = Limits { budget_bytes: budget, max_indexes: most, min_gain_percent: 5.0, max_regression_percent: 10.0 };
        let found = search(&mut model, limits).chosen;
        prop_assert!(found.len() <= most);
        prop_assert!(found.iter().map(|c| model.bytes[c.candidate]).sum::<u64>() <= budget);
        let mut set = Vec::new();
        for chosen in &found {
            prop_assert!(!set.contains(&chosen.candidate), "taken twice");
            prop_assert!(chosen.gain_percent() >= 5.0 && !chosen.helped.is_empty());
            for helped in &chosen.helped {
                let before = model.plan(helped.statement, &set).unwrap().cost;
                let with: Vec<usize> = set.iter().copied().chain([chosen.candidate]).collect();
                let after = model.plan(helped.statement, &with).unwrap().cost;
                prop_assert!((helped.before - before).abs() < 1e-9 && (helped.after - after).abs() < 1e-9);
            }
            set.push(chosen.candidate);
        }
    }

    #[test]
    fn no_answer_is_far_from_the_best(mut model in model(), budget in 0_u64..1500) {
        let limits = Limits { budget_bytes: budget, max_indexes: 8, min_gain_percent: 0.0, max_regression_percent: 10.0 };
        let found: Vec<usize> = search(&mut model, limits).chosen.iter().map(|c| c.candidate).collect();
        let mut cost = |set: &[usize]| -> f64 {
            let all = 0..model.base.len();
            let kept: f64 = set.iter().map(|c| model.upkeep[*c]).sum();
            kept + all.map(|statement| model.weights[statement] * model.plan(statement, set).unwrap().cost).sum::<f64>()
        };
        let (none, ours) = (cost(&[]), cost(&found));
        let bytes = model.bytes.clone();
        let subsets = (0..1_u32 << bytes.len()).map(|mask| -> Vec<usize> {
            (0..bytes.len()).filter(|bit| mask >> bit & 1 == 1).collect()
        });
        let fit = subsets.filter(|set| set.iter().map(|c| bytes[*c]).sum::<u64>() <= budget);
        let best = fit.map(|set| {
            let all = 0..model.base.len();
            let kept: f64 = set.iter().map(|c| model.upkeep[*c]).sum();
            kept + all.map(|statement| model.weights[statement] * model.plan(statement, &set).unwrap().cost).sum::<f64>()
        }).fold(none, f64::min);
        // Of what there is to save.
        prop_assert!(ours - best <= 0.1 * (none - best) + 1e-9 * none, "{none} {ours} {best}");
    }

    #[test]
    fn the_same_costs_give_the_same_answer(model in model()) {
        prop_assert_eq!(search(&mut model.clone(), LIMITS), search(&mut model.clone(), LIMITS));
    }
}
