//! Part `optimum`: how far the search is from the best there is, on a case small enough to try everything.
//!
//! The candidates are the suggestions of one call, built for real. What a query costs with some of them is the planner's word, the others
//! thought away; the search then runs over these costs as it does inside the server, and beside it every set there is.

use std::collections::HashMap;

use pg_pitcrew_advisor::{Candidate, CostModel, Key, Limits, Plan, search};
use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};
use serde_json::Value;
use tokio_postgres::Client;

use super::prediction::number;
use super::{one, quoted, run};

/// Every set of so many is tried.
const CANDIDATES: usize = 14;
/// Of the bytes of all candidates.
const BUDGETS: [f64; 5] = [0.15, 0.3, 0.45, 0.6, 0.8];

/// Sets of candidates, a bit each.
type Bits = u32;

/// What is known of one query.
#[derive(Default)]
struct Query {
    /// Plans: what was there, what they use of it, and their cost.
    plans: Vec<(Bits, Bits, f64)>,
    by_set: HashMap<Bits, f64>,
}

struct Case {
    candidates: Vec<Candidate>,
    bytes: Vec<u64>,
    queries: Vec<Query>,
}

/// Builds the candidates, asks for costs, searches, and takes everything back.
pub(super) async fn measure(
    client: &Client,
    queries: &[(String, String)],
    signals: &Signals,
) -> Result<Vec<Figure>> {
    run(client, "BEGIN").await?;
    let mut case = candidates(client, queries, signals).await?;
    let all: Bits = (1 << case.bytes.len()) - 1;
    let mut asked = 0;
    for (_, text) in queries {
        signals.check()?;
        let mut query = Query::default();
        // What a plan does not use makes no difference to it, so only what it uses has to be taken away.
        let mut left = vec![all];
        while let Some(set) = left.pop() {
            if query.by_set.contains_key(&set) || query.known(set).is_some() {
                continue;
            }
            let (used, cost) = plan(client, text, set, case.bytes.len()).await?;
            asked += 1;
            query.plans.push((set, used, cost));
            left.extend(
                (0..case.bytes.len())
                    .map(|bit| set & !(1 << bit))
                    .filter(|less| less & used != used & set),
            );
        }
        for set in 0..=all {
            let cost = query.known(set).map(|(_, cost)| cost);
            let cost = cost.ok_or_else(|| Error::Extension(format!("no plan for set {set:b}")))?;
            query.by_set.insert(set, cost);
        }
        case.queries.push(query);
    }
    run(client, "ROLLBACK").await?;
    let whole: u64 = case.bytes.iter().sum();
    let mut worst = 1.0_f64;
    for share in BUDGETS {
        let budget_bytes = (whole as f64 * share) as u64;
        let limits = Limits {
            budget_bytes,
            max_indexes: CANDIDATES,
            min_gain_percent: 0.0,
            max_regression_percent: 1e9,
        };
        let found = search(&mut case, limits);
        let ours = found
            .chosen
            .iter()
            .fold(0, |set, chosen| set | 1 << chosen.candidate);
        let best = (0..=all)
            .filter(|set| case.size(*set) <= budget_bytes)
            .map(|set| case.cost(set))
            .fold(f64::INFINITY, f64::min);
        let ratio = case.cost(ours) / best;
        Progress::Print.say(format!(
            "{:.0} MiB of {:.0}: {:.0}, the best of {} sets {best:.0}, {ratio:.4} of it",
            budget_bytes as f64 / 1_048_576.0,
            whole as f64 / 1_048_576.0,
            case.cost(ours),
            u64::from(all) + 1,
        ));
        worst = worst.max(ratio);
    }
    Progress::Print.say(format!(
        "ratio_to_optimum_max: the bar is 1.02; {} candidates, {asked} plans",
        case.bytes.len()
    ));
    let reading = Interval {
        value: worst,
        low: worst,
        high: worst,
    };
    Ok(vec![Figure::own("ratio_to_optimum_max", "ratio", reading)])
}

/// The first suggestions for all the budget they want, built under names of their own.
async fn candidates(
    client: &Client,
    queries: &[(String, String)],
    signals: &Signals,
) -> Result<Case> {
    let texts: Vec<String> = queries.iter().map(|(_, text)| quoted(text)).collect();
    let call = format!(
        "SELECT pitcrew.suggest_indexes_json(budget_mb => 600, max_indexes => {CANDIDATES}, min_gain_percent => 0, queries => ARRAY[{}])",
        texts.join(", ")
    );
    let answer = one(client, &call).await?;
    let answer: Value =
        serde_json::from_str(&answer[0]).map_err(|error| Error::Extension(error.to_string()))?;
    let lacks = || Error::Extension("suggest_indexes_json has no suggestions".into());
    let suggestions = answer["suggestions"].as_array().ok_or_else(lacks)?;
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut number_of = |name: String| {
        let next = numbers.len() as u32 + 1;
        *numbers.entry(name).or_insert(next)
    };
    let mut case = Case {
        candidates: Vec::new(),
        bytes: Vec::new(),
        queries: Vec::new(),
    };
    for (position, suggestion) in suggestions.iter().enumerate() {
        signals.check()?;
        let table = suggestion["table"].as_str().ok_or_else(lacks)?;
        let ddl = suggestion["ddl"].as_str().ok_or_else(lacks)?;
        let (_, list) = ddl.split_once(&format!(" ON {table} ")).ok_or_else(lacks)?;
        run(
            client,
            &format!("CREATE INDEX candidate_{position} ON {table} {list}"),
        )
        .await?;
        let bytes = one(
            client,
            &format!("SELECT pg_relation_size('candidate_{position}')"),
        )
        .await?;
        case.bytes.push(number(&bytes[0])? as u64);
        let mut columns = |name: &str| -> Vec<i16> {
            let listed = suggestion[name].as_array().map_or(&[][..], Vec::as_slice);
            let listed = listed.iter().filter_map(Value::as_str);
            listed
                .map(|column| number_of(format!("{table}.{column}")) as i16)
                .collect()
        };
        let (keys, included) = (columns("columns"), columns("included"));
        let keys = keys.into_iter().map(Key::column).collect();
        let table = number_of(table.to_owned());
        case.candidates
            .push(Candidate::btree(table, keys, included));
    }
    Ok(case)
}

/// What the plan with exactly `set` uses, and its cost.
async fn plan(client: &Client, text: &str, set: Bits, count: usize) -> Result<(Bits, f64)> {
    let away: Vec<String> = (0..count)
        .filter(|bit| set >> bit & 1 == 0)
        .map(|bit| format!("'candidate_{bit}'::regclass"))
        .collect();
    let found = one(
        client,
        &format!(
            "SELECT cost_after, plan_after FROM pitcrew.explain_with({}, without => ARRAY[{}]::regclass[])",
            quoted(text),
            away.join(", ")
        ),
    )
    .await?;
    let used = (0..count)
        .filter(|bit| {
            let name = format!("candidate_{bit}");
            let mut after = found[1].split(&name).skip(1);
            after.any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        })
        .fold(0, |used, bit| used | 1 << bit);
    Ok((used, number(&found[0])?))
}

impl Query {
    /// The plan that holds for every set between what it uses and what it could have used.
    fn known(&self, set: Bits) -> Option<(Bits, f64)> {
        self.plans
            .iter()
            .filter(|(available, used, _)| used & !set == 0 && set & !available == 0)
            .map(|(_, used, cost)| (*used, *cost))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

impl Case {
    fn size(&self, set: Bits) -> u64 {
        let bytes = self.bytes.iter().enumerate();
        bytes
            .filter(|(bit, _)| set >> bit & 1 == 1)
            .map(|(_, bytes)| bytes)
            .sum()
    }

    fn cost(&self, set: Bits) -> f64 {
        self.queries.iter().map(|query| query.by_set[&set]).sum()
    }
}

impl CostModel for Case {
    fn statements(&self) -> usize {
        self.queries.len()
    }

    fn weight(&self, _: usize) -> f64 {
        1.0
    }

    fn candidates(&self) -> usize {
        self.bytes.len()
    }

    fn bytes(&self, candidate: usize) -> u64 {
        self.bytes[candidate]
    }

    fn is_relevant(&self, _: usize, _: usize) -> bool {
        true
    }

    fn upkeep(&self, _: usize) -> f64 {
        0.0
    }

    fn is_narrower(&self, narrow: usize, wide: usize) -> bool {
        self.candidates[narrow].is_narrower_than(&self.candidates[wide])
    }

    fn plan(&mut self, statement: usize, available: &[usize]) -> Option<Plan> {
        let set = available.iter().fold(0, |set, bit| set | 1 << bit);
        let (used, cost) = self.queries[statement].known(set)?;
        Some(Plan {
            cost,
            used: (0..self.bytes.len())
                .filter(|bit| used >> bit & 1 == 1)
                .collect(),
        })
    }

    fn has_time(&self) -> bool {
        true
    }
}
