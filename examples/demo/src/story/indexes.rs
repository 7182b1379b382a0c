//! Suggestions: asked for, applied by jobs, and measured on the same calls before and after.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::predicted::Predicted;
use super::statements::Statements;
use super::{Story, Verdict};
use crate::Failure;
use crate::data::Population;
use crate::visitors::{Client, PAST_THE_CACHE, Visitor};

/// Rounds of calls, before and after.
const ROUNDS: usize = 5;
/// Calls of each route in a round: 200 over five rounds.
const CALLS: usize = 40;
/// The routes whose statements may be helped by an index.
const ROUTES: [&str; 4] = [
    "/customers/{key}/orders",
    "/parts/{key}/sales",
    "/orders",
    "/search",
];
/// So many suggestions are applied, the best first.
const APPLIED: usize = 4;

impl Story {
    /// The act of the indexes.
    pub(super) async fn indexes(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let cycle = self.operator.post("/optimize", json!({})).await?["cycle"].clone();
        let report = self
            .operator
            .until("/cycles", Duration::from_secs(60), |reports| {
                reports["cycles"]
                    .as_array()?
                    .iter()
                    .find(|report| report["id"] == cycle)
                    .cloned()
            })
            .await?;
        let done = report["parts"].as_array().map_or(0, |parts| {
            parts.iter().filter(|part| part["state"] == "done").count()
        });
        verdict.check(
            "the cycle looked at every part",
            done == 4,
            report["parts"].to_string(),
        );

        let advice: Vec<_> = report["advice"].as_array().into_iter().flatten().collect();
        let builds: Vec<_> = advice
            .iter()
            .filter(|one| one["action"]["body"]["kind"] == "create_index")
            .collect();
        let analysis = self.operator.get("/database/analysis").await?;
        let suggestions = analysis["suggestions"].as_array().ok_or_else(|| {
            format!(
                "there are no suggestions: {}",
                analysis["suggestions"]["unavailable"]
            )
        })?;
        verdict.figures.suggestions = Some(suggestions.len());
        verdict.check(
            "the cycle's advice is what the database suggests",
            !suggestions.is_empty() && builds.len() == suggestions.len(),
            format!("{} and {}", builds.len(), suggestions.len()),
        );
        let applied: Vec<&Value> = suggestions.iter().take(APPLIED).collect();
        let Some(first) = applied.first() else {
            return Ok(());
        };
        self.say(format!(
            "First suggestion: {}",
            first["detail"].as_str().unwrap_or("?")
        ));
        self.say(format!("  {}", first["ddl"].as_str().unwrap_or("?")));

        // What is measured: the same calls in each round; the statements that no call reaches (a write's) stay out of both
        // ratios.
        let predicted = Predicted::of(&applied);
        let start = Statements::now(&self.operator).await?;
        let before = self.rounds().await?;
        let reached: Vec<(i64, u64)> = predicted
            .statements()
            .into_iter()
            .map(|id| (id, before[ROUNDS - 1].since(&start, &[id]).1))
            .filter(|(_, calls)| *calls > 0)
            .collect();
        verdict.figures.predicted_cost_ratio = predicted.cost_ratio(&reached);
        let helped: Vec<i64> = reached.iter().map(|(id, _)| *id).collect();
        let rounds_before = spent(&start, &before, &helped);
        let done = self.apply(&applied).await?;
        verdict.figures.jobs_done = Some(done);
        verdict.check(
            "every index was built by a job",
            done == applied.len(),
            format!("{done} of {}", applied.len()),
        );
        let middle = Statements::now(&self.operator).await?;
        let after = self.rounds().await?;
        let rounds_after = spent(&middle, &after, &helped);

        let sum = |rounds: &[(f64, u64)]| rounds.iter().map(|(ms, _)| ms).sum::<f64>();
        let calls = |rounds: &[(f64, u64)]| rounds.iter().map(|(_, calls)| calls).sum::<u64>();
        let ratio = sum(&rounds_after) / sum(&rounds_before);
        let control = control(&rounds_before);
        let each = calls(&rounds_before).min(calls(&rounds_after));
        verdict.figures.measured_time_ratio = Some(ratio);
        verdict.figures.measured_time_ratio_control = Some(control);
        verdict.figures.calls_each = Some(each);
        self.say(format!(
            "Measured: the {} helped statements took {:.0} ms before and {:.0} ms after, {ratio:.3} of the time (the same \
             rounds differ by {control:.3}); predicted was {:.3} of the cost.",
            helped.len(),
            sum(&rounds_before),
            sum(&rounds_after),
            verdict.figures.predicted_cost_ratio.unwrap_or(f64::NAN)
        ));
        verdict.check(
            "at least 200 calls of each helped statement",
            each >= 200,
            each.to_string(),
        );
        verdict.figure("measured_time_ratio < 0.3", Some(ratio), |ratio| {
            ratio < 0.3
        });
        Ok(())
    }

    /// Five rounds of the same calls; the database's figures after each.
    async fn rounds(&self) -> Result<Vec<Statements>, Failure> {
        let mut after = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            for route in ROUTES {
                call(self.app.address, self.population, route, CALLS).await?;
            }
            after.push(Statements::now(&self.operator).await?);
        }
        Ok(after)
    }

    /// Submits a job for each suggestion and waits for its end; tells how many are done.
    async fn apply(&self, suggestions: &[&Value]) -> Result<usize, Failure> {
        let mut done = 0;
        for suggestion in suggestions {
            let body = json!({
                "kind": "create_index",
                "target": suggestion["table_name"],
                "options": {"columns": suggestion["columns"], "name": suggestion["index_name"]},
            });
            let submitted = self.operator.post("/database/maintenance", body).await?;
            let path = format!("/database/jobs/{}", submitted["job"]);
            let job = self
                .operator
                .until(&path, Duration::from_secs(120), |job| {
                    (job["state"] != "queued" && job["state"] != "running").then(|| job.clone())
                })
                .await?;
            let state = job["state"].as_str().unwrap_or("?");
            let command = job["command"].as_str().unwrap_or("?");
            self.say(format!("Job {}: {command}: {state}.", job["id"]));
            done += usize::from(state == "done");
        }
        Ok(done)
    }
}

/// What each round spent on the statements.
fn spent(start: &Statements, rounds: &[Statements], statements: &[i64]) -> Vec<(f64, u64)> {
    let begins = std::iter::once(start).chain(rounds);
    begins
        .zip(rounds)
        .map(|(before, after)| after.since(before, statements))
        .collect()
}

/// The same thing twice: the mean of the even rounds against that of the odd ones.
fn control(rounds: &[(f64, u64)]) -> f64 {
    let mean = |parity: usize| {
        let picked = rounds
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 2 == parity)
            .map(|(_, (ms, _))| *ms);
        let picked: Vec<_> = picked.collect();
        picked.iter().sum::<f64>() / picked.len() as f64
    };
    mean(1) / mean(0)
}

/// Calls one route `calls` times past the cache, from two connections.
async fn call(
    address: SocketAddr,
    population: Population,
    route: &'static str,
    calls: usize,
) -> Result<(), Failure> {
    let half = |seed| async move {
        // The same seed each time: every round makes the same calls.
        let mut visitor = Visitor::new(seed, population);
        let mut client = Client::connect(address).await?;
        for _ in 0..calls / 2 {
            let visit = visitor.read(route);
            client
                .send(Method::GET, &visit.path, &PAST_THE_CACHE, None)
                .await?;
        }
        Ok::<_, Failure>(())
    };
    tokio::try_join!(half(101), half(102)).map(|_| ())
}
