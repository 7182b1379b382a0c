//! `--capacity`: runs the probes of a search.

use pitcrew_load::{Capacity, CapacityPlan, Open, Outcome, PlanError, Probing, Run, Search};

use super::arguments::Arguments;
use super::work::Work;
use super::{INTERRUPTED, LATE, interrupted};

pub(super) async fn run(arguments: &Arguments, work: &Work) -> Result<u8, String> {
    let mut search = Search::new(CapacityPlan::default())
        .map_err(|(field, wants)| format!("{field} {wants}"))?;
    let probing = Probing {
        start: async |open| work.with_open(&open).start().await,
        thresholds: &work.plan.thresholds,
        duration_s: arguments.probe_s(),
        spacing: arguments.spacing(),
    };
    println!("| rate | p99 | errors | |\n|---|---|---|---|");
    while let Some(rate) = search.next_rate() {
        let Some(outcome) = probe(&probing, rate).await? else {
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
            Ok(LATE)
        }
        None => Err("the search did not end".to_owned()),
    }
}

/// `None` when it was interrupted.
async fn probe(
    probing: &Probing<'_, impl AsyncFn(Open) -> Result<Run, PlanError>>,
    rate_per_s: f64,
) -> Result<Option<Outcome>, String> {
    let (outcome, report) = tokio::select! {
        told = probing.at(rate_per_s) => told.map_err(|error| error.to_string())?,
        () = interrupted() => return Ok(None),
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
