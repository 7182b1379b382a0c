use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn search(plan: CapacityPlan, mut probe: impl FnMut(f64) -> Outcome) -> (Capacity, usize) {
    let mut search = Search::new(plan).unwrap_or_else(|error| panic!("{error:?}"));
    while let Some(rate) = search.next_rate() {
        assert!(rate > 0.0 && rate <= plan.to_per_s * 1.5, "{rate}");
        search.take(probe(rate));
    }
    let probes = search.probes().len();
    (search.end().cloned().expect("an end"), probes)
}

fn sharp(limit: f64) -> impl FnMut(f64) -> Outcome {
    move |rate| {
        if rate <= limit {
            Outcome::Held
        } else {
            Outcome::Broke
        }
    }
}

#[test]
fn a_known_limit_lies_inside_the_interval_which_is_narrow() {
    for limit in [3.0, 99.0, 100.0, 101.0, 2_000.0, 77_777.0] {
        let (end, probes) = search(CapacityPlan::default(), sharp(limit));
        let Capacity::Found {
            low_per_s,
            high_per_s,
        } = end
        else {
            panic!("{limit}: {end:?}");
        };
        assert!(
            low_per_s <= limit && limit <= high_per_s,
            "{limit}: {end:?}"
        );
        assert!(high_per_s <= low_per_s * 1.0201, "{limit}: {end:?}");
        assert!(probes <= 24, "{limit}: {probes}");
    }
}

#[test]
fn near_a_limit_that_is_not_sharp_the_interval_is_there_all_the_same() {
    // The chance that a probe holds falls from 1 to 0 over 2 % around the limit.
    let mut random = StdRng::seed_from_u64(3);
    let (mut found, mut inside) = (0, 0);
    for _ in 0..500 {
        let limit = random.random_range(200.0..50_000.0);
        let (end, _) = search(CapacityPlan::default(), |rate| {
            let chance = 0.5 + (limit - rate) / (0.02 * limit);
            if random.random::<f64>() < chance {
                Outcome::Held
            } else {
                Outcome::Broke
            }
        });
        if let Capacity::Found {
            low_per_s,
            high_per_s,
        } = end
        {
            found += 1;
            let middle = f64::midpoint(low_per_s, high_per_s);
            inside += i32::from((middle / limit - 1.0).abs() <= 0.03);
        }
    }
    assert!(found > 480, "{found}");
    assert!(
        inside as f64 > 0.97 * f64::from(found),
        "{inside} of {found}"
    );
}

#[test]
fn what_cannot_be_measured_says_why() {
    let because =
        |plan: CapacityPlan, probe: &mut dyn FnMut(f64) -> Outcome| match search(plan, probe).0 {
            Capacity::NotMeasurable { because } => because,
            found @ Capacity::Found { .. } => panic!("{found:?}"),
        };
    let plan = CapacityPlan::default();
    assert!(because(plan, &mut |_| Outcome::Held).contains("held up to 100000 a second"));
    assert!(because(plan, &mut |_| Outcome::Broke).contains("did not hold at"));
    let late = &mut |rate: f64| {
        if rate > 5_000.0 {
            Outcome::GeneratorLimited
        } else {
            Outcome::Held
        }
    };
    assert!(because(plan, late).contains("the tester itself was late at 6400 a second"));
    // Late now and then is no end.
    let mut number = 0;
    let (end, _) = search(plan, |rate| {
        number += 1;
        match number % 2 {
            0 => sharp(2_000.0)(rate),
            _ => Outcome::GeneratorLimited,
        }
    });
    assert!(matches!(end, Capacity::Found { .. }), "{end:?}");
    let mut turn = false;
    let fickle = &mut |_: f64| {
        turn = !turn;
        if turn { Outcome::Held } else { Outcome::Broke }
    };
    assert!(because(plan, fickle).contains("did not agree"));
}

#[test]
fn a_plan_that_cannot_be_is_refused() {
    let plan = CapacityPlan::default;
    for (plan, field) in [
        (
            CapacityPlan {
                from_per_s: 0.0,
                ..plan()
            },
            "from_per_s",
        ),
        (
            CapacityPlan {
                from_per_s: f64::NAN,
                ..plan()
            },
            "from_per_s",
        ),
        (
            CapacityPlan {
                to_per_s: 50.0,
                ..plan()
            },
            "to_per_s",
        ),
        (
            CapacityPlan {
                to_per_s: f64::INFINITY,
                ..plan()
            },
            "to_per_s",
        ),
        (
            CapacityPlan {
                resolution_percent: 0.0,
                ..plan()
            },
            "resolution_percent",
        ),
        (
            CapacityPlan {
                max_probes: 3,
                ..plan()
            },
            "max_probes",
        ),
    ] {
        assert_eq!(plan.check().expect_err("refused").0, field);
    }
}
