//! Part `advice`: what is suggested for TPC-H within a budget, built for real beside what other advisors suggested.
//!
//! Advice is given on one set of parameters and scored on three others. Statistics stay as they are, and everything that
//! is built is rolled back, so that all sets meet the same tables.

use std::time::Instant;

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};
use serde_json::Value;
use tokio_postgres::Client;

use super::parameters::with_parameters;
use super::prediction::{cost, number};
use super::{one, quoted, run};

/// Seeds of the parameters that advice is given on, and of those that it is scored on.
pub(super) const ADVISED: u64 = 1;
const SCORED: [u64; 3] = [2, 3, 4];
/// They are nearly all of the cost where there are no indexes: the table says the rest apart.
const DOMINANT: [&str; 3] = ["q02", "q17", "q20"];
/// Advice counts where it is no larger than its budget and this many percent of it.
const BUDGET_WITHIN: f64 = 2.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Indexes, built for real.
struct Built {
    name: String,
    indexes: usize,
    mib: f64,
    /// Cost of the 22 queries, mean over the scored sets of parameters.
    cost: f64,
    /// Without [`DOMINANT`].
    rest: f64,
}

/// What was asked and answered.
struct Advice {
    ddl: Vec<String>,
    planner_calls: f64,
    seconds: f64,
    predicted: f64,
}

/// All budgets against all peers.
pub(super) async fn measure(
    client: &Client,
    peers: &[(String, Vec<String>)],
    queries: &[(String, String)],
    signals: &Signals,
) -> Result<Vec<Figure>> {
    run(client, "CREATE EXTENSION pg_stat_statements").await?;
    let advised = parameters(queries, ADVISED)?;
    let mut scored = Vec::new();
    for seed in SCORED {
        scored.extend(parameters(queries, seed)?);
    }
    let none = build(client, "none", &[], &scored, signals).await?;
    say(&none, None, 1.0);
    let (mut worst, mut overrun) = (0.0_f64, f64::NEG_INFINITY);
    let (mut seconds, mut calls, mut added) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (name, ddl) in peers {
        let peer = build(client, name, ddl, &scored, signals).await?;
        say(&peer, None, 1.0);
        let budget = peer.mib.floor();
        let advice = ask(client, &advised, budget, &mut added).await?;
        let name = format!("pitcrew {budget:.0} MiB");
        let ours = build(client, &name, &advice.ddl, &scored, signals).await?;
        let ratio = ours.cost / peer.cost;
        say(&ours, Some(&advice), ratio);
        for ddl in &advice.ddl {
            Progress::Print.say(format!("    {ddl}"));
        }
        worst = worst.max(ratio);
        overrun = overrun.max(100.0 * (ours.mib / peer.mib - 1.0));
        seconds = seconds.max(advice.seconds);
        calls = calls.max(advice.planner_calls);
    }
    if overrun > BUDGET_WITHIN {
        Progress::Print.say(format!(
            "an answer is {overrun:.1} % larger than its budget: its ratio does not count"
        ));
    }
    let values = [
        ("worst_ratio_to_peer", "ratio", worst, 1.005),
        ("budget_overrun_max_pct", "%", overrun, BUDGET_WITHIN),
        ("tpch_seconds", "s", seconds, 1.0),
        ("tpch_planner_calls", "calls", calls, 1_500.0),
        ("pgss_rows_added", "rows", added, 0.0),
    ];
    Ok(values
        .into_iter()
        .map(|(figure, unit, value, bar)| {
            Progress::Print.say(format!("{figure}: the bar is {bar} {unit}"));
            // The largest of four; seconds are one reading each, of the whole call.
            let reading = Interval {
                value,
                low: value,
                high: value,
            };
            Figure::own(figure, unit, reading)
        })
        .collect())
}

pub(super) fn parameters(queries: &[(String, String)], seed: u64) -> Result<Vec<(String, String)>> {
    queries
        .iter()
        .map(|(name, text)| Ok((name.clone(), with_parameters(name, text, seed)?)))
        .collect()
}

/// Builds the indexes, asks what the queries cost, and takes everything back.
async fn build(
    client: &Client,
    name: &str,
    ddl: &[String],
    scored: &[(String, String)],
    signals: &Signals,
) -> Result<Built> {
    let mut mib = 0.0;
    run(client, "BEGIN").await?;
    for ddl in ddl {
        signals.check()?;
        // A transaction has no CONCURRENTLY; the index is the same.
        run(client, &ddl.replacen(" CONCURRENTLY", "", 1)).await?;
        let bytes = one(
            client,
            "SELECT pg_relation_size(oid) FROM pg_class WHERE relkind = 'i' ORDER BY oid DESC LIMIT 1",
        )
        .await?;
        mib += number(&bytes[0])? / MIB;
    }
    let (mut all, mut rest) = (0.0, 0.0);
    for (query, text) in scored {
        signals.check()?;
        let cost = cost(client, text).await? / SCORED.len() as f64;
        all += cost;
        if !DOMINANT.contains(&query.as_str()) {
            rest += cost;
        }
    }
    run(client, "ROLLBACK").await?;
    Ok(Built {
        name: name.to_owned(),
        indexes: ddl.len(),
        mib,
        cost: all,
        rest,
    })
}

/// One call, as a user would make it; how many other statements the server says it ran is added to `added`.
async fn ask(
    client: &Client,
    advised: &[(String, String)],
    budget: f64,
    added: &mut f64,
) -> Result<Advice> {
    let texts: Vec<String> = advised.iter().map(|(_, text)| quoted(text)).collect();
    let call = format!(
        "SELECT pitcrew.suggest_indexes_json(budget_mb => {budget:.0}, max_indexes => 100, min_gain_percent => 0, queries => ARRAY[{}])",
        texts.join(", ")
    );
    run(client, "SELECT pg_stat_statements_reset()").await?;
    let start = Instant::now();
    let answer = one(client, &call).await?;
    let seconds = start.elapsed().as_secs_f64();
    let others = one(
        client,
        "SELECT count(*) FROM pg_stat_statements \
         WHERE query NOT LIKE '%suggest_indexes_json%' AND query NOT LIKE '%pg_stat_statements_reset%'",
    )
    .await?;
    *added += number(&others[0])?;
    let answer: Value =
        serde_json::from_str(&answer[0]).map_err(|error| Error::Extension(error.to_string()))?;
    let lacks = |what: &str| Error::Extension(format!("suggest_indexes_json has no {what}"));
    let figure = |name: &str| answer[name].as_f64().ok_or_else(|| lacks(name));
    if let Some(reason) = answer["stopped_because"].as_str() {
        return Err(Error::Extension(format!(
            "the search was stopped: {reason}"
        )));
    }
    let suggestions = answer["suggestions"]
        .as_array()
        .ok_or_else(|| lacks("suggestions"))?;
    let ddl: Option<Vec<String>> = suggestions
        .iter()
        .map(|suggestion| suggestion["ddl"].as_str().map(str::to_owned))
        .collect();
    Ok(Advice {
        ddl: ddl.ok_or_else(|| lacks("ddl"))?,
        planner_calls: figure("planner_calls")?,
        seconds,
        predicted: figure("cost_after")?,
    })
}

/// A line of the table.
fn say(built: &Built, advice: Option<&Advice>, ratio: f64) {
    let mut line = format!(
        "{:<32} {:>3} indexes {:>7.1} MiB, cost {:>15.0}, without q02, q17, q20 {:>11.0}",
        built.name, built.indexes, built.mib, built.cost, built.rest
    );
    if let Some(advice) = advice {
        line.push_str(&format!(
            ", predicted {:.0} (on its own parameters), {:.2} s, {:.0} planner calls, {ratio:.4} of the peer's",
            advice.predicted, advice.seconds, advice.planner_calls
        ));
    }
    Progress::Print.say(line);
}
