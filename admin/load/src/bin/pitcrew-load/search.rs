//! `--capacity`: runs the probes of a search.

use pitcrew_load::{Capacity, CapacityPlan, Open, Outcome, Search, Stage};

use super::arguments::Arguments;
use super::work::Work;
use super::{BROKEN, INTERRUPTED, interrupted};

/// A probe is preceded by so much of its own length at the same rate, which does not count: what an earlier probe left behind
/// in queues and caches is gone by then.
const SETTLE_SHARE: f64 = 0.25;

pub(super) async fn run(arguments: &Arguments, work: &Work) -> Result<u8, String> {
    let mut search = Search::new(CapacityPlan::default())
        .map_err(|(field, wants)| format!("{field} {wants}"))?;
    println!("| rate | p99 | errors | |\n|---|---|---|---|");
    while let Some(rate) = search.next_rate() {
        let Some(outcome) = probe(arguments, work, rate).await? else {
            return Ok(INTERRUPTED);
        };
        search.take(outcome);
    }
    match search.end() {
        Some(Capacity::Found {
            low_per_s,
            high_per_s,
        }) => {
            println!(
                "\nThe thresholds hold at {low_per_s:.0} a second and not at {high_per_s:.0}."
            );
            Ok(0)
        }
        Some(Capacity::NotMeasurable { because }) => {
            println!("\nNot measurable here: {because}.");
            Ok(BROKEN)
        }
        None => Err("the search did not end".to_owned()),
    }
}

/// `None` when it was interrupted.
async fn probe(
    arguments: &Arguments,
    work: &Work,
    rate_per_s: f64,
) -> Result<Option<Outcome>, String> {
    let length = arguments.probe_s();
    let mut report = None;
    for duration_s in [length * SETTLE_SHARE, length] {
        let work = work.with_open(Open {
            stages: vec![Stage {
                duration_s,
                rate_per_s,
                to_rate_per_s: None,
            }],
            spacing: arguments.spacing(),
            seed: 0,
        });
        let run = work.start().await.map_err(|error| error.to_string())?;
        tokio::select! {
            told = run.finished() => report = Some(told.clone()),
            () = interrupted() => {
                run.cancel();
                run.finished().await;
                return Ok(None);
            }
        }
    }
    let Some(report) = report else {
        return Ok(None);
    };
    let outcome = if report.generator_limited.is_some() {
        Outcome::GeneratorLimited
    } else if report.missed == 0
        && arguments
            .thresholds
            .iter()
            .all(|threshold| threshold.judge(&report).holds)
    {
        Outcome::Held
    } else {
        Outcome::Broke
    };
    let word = match outcome {
        Outcome::Held => "held",
        Outcome::Broke => "broke",
        Outcome::GeneratorLimited => "the tester was late",
    };
    println!(
        "| {rate_per_s:.0}/s | {:.2} ms | {:.2} % | {word} |",
        report.response.p99_ms, report.error_percent
    );
    Ok(Some(outcome))
}
