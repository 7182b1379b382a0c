//! `--capacity`: runs the probes of a search.

use std::time::SystemTime;

use pitcrew_load::{
    AnyTarget, Capacity, CapacityResults, Open, PlanError, Probing, Run, Search, Tried,
};

use super::arguments::Arguments;
use super::work::Work;
use super::{INTERRUPTED, LATE, files, interrupted, say};

pub(super) async fn run(arguments: &Arguments, work: &Work) -> Result<u8, String> {
    let began = SystemTime::now();
    let mut search = Search::new(arguments.capacity_plan()?)
        .map_err(|(field, wants)| format!("{field} {wants}"))?;
    let thresholds = work.plan.all_thresholds();
    let probing = Probing {
        start: async |open| work.with_open(&open).start().await,
        thresholds: &thresholds,
        duration_s: arguments.probe_s(),
        spacing: arguments.spacing(),
    };
    if !arguments.output.markdown {
        say("| rate | answered | p50 | p95 | p99 | errors | |\n|---|---|---|---|---|---|---|\n")?;
    }
    let mut all = Vec::new();
    let mut is_interrupted = false;
    while let Some(rate) = search.next_rate() {
        let Some(tried) = probe(&probing, rate).await? else {
            is_interrupted = true;
            break;
        };
        search.take(tried.outcome);
        if !arguments.output.markdown {
            say(&format!("{}\n", tried.line()))?;
        }
        all.push(tried);
    }
    let capacity = search
        .end()
        .cloned()
        .unwrap_or_else(|| Capacity::NotMeasurable {
            because: "the search was interrupted".to_owned(),
        });
    let is_found = matches!(capacity, Capacity::Found { .. });
    let target = work.targets.first().map(AnyTarget::authority);
    let target = target.unwrap_or_default();
    let results = CapacityResults::new(&work.plan, &target, began, capacity, all);
    files::write_capacity(&arguments.output, &results)?;
    if arguments.output.markdown {
        say(&results.markdown())?;
    } else {
        say(&format!("\n{}\n", results.summary()))?;
    }
    Ok(match (is_interrupted, is_found) {
        (true, _) => INTERRUPTED,
        (false, true) => 0,
        (false, false) => LATE,
    })
}

/// `None` when it was interrupted.
async fn probe(
    probing: &Probing<'_, impl AsyncFn(Open) -> Result<Run, PlanError>>,
    rate_per_s: f64,
) -> Result<Option<Tried>, String> {
    tokio::select! {
        told = probing.at(rate_per_s) => {
            let (outcome, report) = told.map_err(|error| error.to_string())?;
            Ok(Some(Tried::new(rate_per_s, outcome, &report)))
        }
        () = interrupted() => Ok(None),
    }
}
