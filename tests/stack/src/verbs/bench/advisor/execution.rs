//! Part `execution`: how long TPC-H takes with what is suggested for 250 MB, with what a plain Extend takes, and with neither.
//!
//! All sets are built at once, and those that a run is not about are no valid indexes while it lasts, so the planner does not see them. Advice is
//! given on one set of parameters and run on another.

use std::collections::BTreeSet;
use std::time::Instant;

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};
use serde_json::Value;
use tokio_postgres::Client;

use super::advice::{ADVISED, parameters};
use super::prediction::number;
use super::{extend, one, quoted, run};

/// MiB of each set.
const BUDGET_MB: f64 = 250.0;
/// The parameters that are run.
const RUN: u64 = 2;
/// Without indexes these take hours.
const ENDLESS: [&str; 2] = ["q17", "q20"];
/// Interleaved; the least of them counts.
const REPETITIONS: usize = 9;
/// From here on a query is slower.
const SLOWER: f64 = 1.3;
/// What another plain Extend suggested, planning inside the server.
const EXTEND: &str = "242-plain-extend-in-process";
/// The bars.
const TIME_RATIO: f64 = 0.88;

/// Indexes that are there together.
struct Set {
    name: &'static str,
    ddl: Vec<String>,
    /// Of each query that is run the times in milliseconds, in the order in which they were taken.
    times: Vec<Vec<f64>>,
}

pub(super) async fn measure(
    client: &Client,
    extend: Option<&Client>,
    peers: &[(String, Vec<String>)],
    queries: &[(String, String)],
    signals: &Signals,
) -> Result<Vec<Figure>> {
    let advised = parameters(queries, ADVISED)?;
    let (ddl, at_risk) = advice(client, &advised).await?;
    let peer = peers.iter().find(|(name, _)| name == EXTEND);
    let peer = peer.ok_or_else(|| Error::Extension(format!("there is no {EXTEND}.sql")))?;
    let texts: Vec<String> = advised.iter().map(|(_, text)| text.clone()).collect();
    let own = match extend {
        Some(extend) => Some(extend::suggest(extend, &texts, BUDGET_MB, signals).await?),
        None => None,
    };
    let set = |name, ddl| Set {
        name,
        ddl,
        times: Vec::new(),
    };
    let mut sets = vec![
        set("none", Vec::new()),
        set("pitcrew", ddl),
        set("extend_before", peer.1.clone()),
    ];
    let version = own.as_ref().map(|own| own.version.clone());
    sets.extend(own.map(|own| set("extend", own.ddl)));
    for set in &sets {
        build(client, set, signals).await?;
    }
    let run: Vec<(String, String)> = parameters(queries, RUN)?
        .into_iter()
        .filter(|(name, _)| !ENDLESS.contains(&name.as_str()))
        .collect();
    let mut slower_not_named = 0;
    for (name, text) in &run {
        time(client, &mut sets, text, signals).await?;
        let is_unsaid = is_slower_unsaid(&sets, name, at_risk.contains(name));
        slower_not_named += u32::from(is_unsaid);
    }
    show(client, None).await?;
    drop_all(client, &sets).await?;
    Ok(figures(&sets, slower_not_named, version.as_deref()))
}

/// What is suggested, and the names of the queries that it calls at risk.
async fn advice(
    client: &Client,
    advised: &[(String, String)],
) -> Result<(Vec<String>, BTreeSet<String>)> {
    let texts: Vec<String> = advised.iter().map(|(_, text)| quoted(text)).collect();
    let call = format!(
        "SELECT pitcrew.suggest_indexes_json(budget_mb => {BUDGET_MB:.0}, max_indexes => 100, min_gain_percent => 0, queries => ARRAY[{}])",
        texts.join(", ")
    );
    let answer: Value = serde_json::from_str(&one(client, &call).await?[0])
        .map_err(|error| Error::Extension(error.to_string()))?;
    let (mut ddl, mut at_risk) = (Vec::new(), BTreeSet::new());
    for suggestion in answer["suggestions"].as_array().into_iter().flatten() {
        ddl.extend(suggestion["ddl"].as_str().map(str::to_owned));
        for risk in suggestion["queries_at_risk"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let of = advised
                .iter()
                .find(|(_, text)| risk["query"] == text.as_str());
            let (name, _) = of.ok_or_else(|| Error::Extension(format!("no such query: {risk}")))?;
            Progress::Print.say(format!("at risk: {name}: {}", risk["because"]));
            at_risk.insert(name.clone());
        }
    }
    Ok((ddl, at_risk))
}

/// Builds a set under names of its own.
async fn build(client: &Client, set: &Set, signals: &Signals) -> Result<()> {
    for (position, ddl) in set.ddl.iter().enumerate() {
        signals.check()?;
        let (_, on) = ddl
            .split_once(" ON ")
            .ok_or_else(|| Error::Extension(format!("builds no index: {ddl}")))?;
        run(
            client,
            &format!("CREATE INDEX set_{}_{position} ON {on}", set.name),
        )
        .await?;
    }
    let size = one(
        client,
        &format!(
            "SELECT coalesce(sum(pg_relation_size(oid)), 0) / 1048576.0 FROM pg_class WHERE relname ~ '^set_{}_[0-9]+$'",
            set.name
        ),
    )
    .await?;
    Progress::Print.say(format!(
        "{}: {} indexes, {:.1} MiB",
        set.name,
        set.ddl.len(),
        number(&size[0])?
    ));
    Ok(())
}

async fn drop_all(client: &Client, sets: &[Set]) -> Result<()> {
    for set in sets {
        for position in 0..set.ddl.len() {
            run(client, &format!("DROP INDEX set_{}_{position}", set.name)).await?;
        }
    }
    Ok(())
}

/// Lets the planner see the indexes of one set alone, or all.
async fn show(client: &Client, set: Option<&str>) -> Result<()> {
    let is_shown = set.map_or_else(
        || "true".to_owned(),
        |set| format!("c.relname ~ '^set_{set}_[0-9]+$'"),
    );
    run(
        client,
        &format!(
            "UPDATE pg_index i SET indisvalid = {is_shown} FROM pg_class c WHERE c.oid = i.indexrelid AND c.relname LIKE 'set\\_%'"
        ),
    )
    .await
}

/// Runs a query with each set in turn. Where its plan is that of an earlier set, so is its time.
async fn time(client: &Client, sets: &mut [Set], text: &str, signals: &Signals) -> Result<()> {
    let mut plans: Vec<String> = Vec::new();
    for set in sets.iter() {
        show(client, Some(set.name)).await?;
        let rows = client.simple_query(&format!("EXPLAIN {text}")).await;
        let rows = rows.map_err(|error| super::fault("EXPLAIN", &error))?;
        let lines = rows.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        plans.push(lines.collect::<Vec<_>>().join("\n"));
    }
    let first: Vec<usize> = plans
        .iter()
        .map(|plan| plans.iter().position(|other| other == plan).unwrap_or(0))
        .collect();
    let mut times = vec![Vec::new(); sets.len()];
    for repetition in 0..REPETITIONS {
        for turn in 0..sets.len() {
            signals.check()?;
            // Each goes first in turn.
            let position = (turn + repetition) % sets.len();
            if first[position] != position {
                continue;
            }
            show(client, Some(sets[position].name)).await?;
            let start = Instant::now();
            run(client, text).await?;
            times[position].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    for (position, set) in sets.iter_mut().enumerate() {
        set.times.push(times[first[position]].clone());
    }
    Ok(())
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A query against itself: the least of every other repetition over the least of the others, the larger over the smaller.
fn noise(times: &[f64]) -> f64 {
    let half = |odd: usize| {
        let half: Vec<f64> = times.iter().skip(odd).step_by(2).copied().collect();
        least(&half)
    };
    let ratio = half(0) / half(1);
    ratio.max(1.0 / ratio)
}

/// Whether a query that was just run is slower and nobody said so; says how long it took.
fn is_slower_unsaid(sets: &[Set], name: &str, is_named: bool) -> bool {
    let times: Vec<&Vec<f64>> = sets.iter().filter_map(|set| set.times.last()).collect();
    let before = least(times[0]);
    let line: Vec<String> = sets
        .iter()
        .zip(&times)
        .map(|(set, times)| {
            let ms = least(times);
            format!("{} {ms:.0} ms ({:.3})", set.name, ms / before)
        })
        .collect();
    let own = noise(times[0]).max(noise(times[1]));
    let slower = least(times[1]) / before;
    let is_slower = slower > SLOWER && slower > own;
    let said = match (is_slower, is_named) {
        (true, true) => ", slower, as was said",
        (true, false) => ", slower, and nobody said so",
        _ => "",
    };
    Progress::Print.say(format!(
        "{name}: {}; with itself {own:.3}{said}",
        line.join(", ")
    ));
    is_slower && !is_named
}

fn figures(sets: &[Set], slower_not_named: u32, version: Option<&str>) -> Vec<Figure> {
    let none = &sets[0];
    let queries = none.times.len();
    let total = |set: &Set| set.times.iter().map(|times| least(times)).sum::<f64>();
    let ratio = |set: &Set| total(set) / total(none);
    let control = {
        let of = |odd: usize| {
            let halves = none.times.iter().map(|times| {
                let half: Vec<f64> = times.iter().skip(odd).step_by(2).copied().collect();
                least(&half)
            });
            halves.sum::<f64>()
        };
        of(0) / of(1)
    };
    for set in &sets[1..] {
        let each = set.times.iter().zip(&none.times);
        let each: f64 = each
            .map(|(with, without)| least(with) / least(without))
            .sum();
        Progress::Print.say(format!(
            "{}: {:.3} of the time of all, {:.3} as the mean of each query's",
            set.name,
            ratio(set),
            each / queries as f64
        ));
    }
    Progress::Print.say(format!(
        "time_ratio: the bar is {TIME_RATIO} ratio; time_ratio_vs_extend: the bar is 1 ratio; queries_slower_not_named: the bar is 0 queries"
    ));
    let exactly = |value: f64| Interval {
        value,
        low: value,
        high: value,
    };
    let mut figures = vec![
        Figure {
            control: Some(control),
            ours: Some(total(&sets[1])),
            peer: Some(total(none)),
            ..Figure::own("time_ratio", "ratio", exactly(ratio(&sets[1])))
        },
        Figure::own(
            "queries_slower_not_named",
            "queries",
            exactly(f64::from(slower_not_named)),
        ),
    ];
    if let (Some(extend), Some(version)) = (sets.get(3), version) {
        let ratio = Figure {
            control: Some(control),
            ours: Some(total(&sets[1])),
            peer: Some(total(extend)),
            ..Figure::own(
                "time_ratio_vs_extend",
                "ratio",
                exactly(total(&sets[1]) / total(extend)),
            )
        };
        figures.push(ratio.against("plain Extend over HypoPG", version));
    }
    figures
}
