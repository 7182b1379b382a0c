//! The checks over a plain connection: for a server that has no extension of ours, a managed one for example.
//!
//! One read-only transaction. Every text is the one that the extension runs, with its collections as common table
//! expressions: checks over the same collections are one statement. Where that fails they run one by one, a savepoint each,
//! and only the one at fault is `skipped`. A role with the rights of `pg_monitor` is enough; what it may not see is `skipped`.

use std::collections::BTreeSet;

use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::{
    Check, FACTS_QUERY, Facts, Finding, Raw, Thresholds, assemble, collections_of, composed, sort,
};

/// A check that takes longer is skipped, in milliseconds; checks that share a statement have as long together.
const CHECK_TIMEOUT_MS: u32 = 10_000;

/// Names that a user made are never resolved, nothing is compiled, and nothing waits for a lock.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL jit = off; \
                     SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '32MB'; SET LOCAL lock_timeout = '100ms'; \
                     SET LOCAL enable_nestloop = off";

/// Runs the checks and answers their rows, worst first. Keys in `suppressed` are left out.
///
/// # Errors
/// The connection is lost, or the server cannot say what it is. A check that fails is a row and no error.
pub async fn report(
    client: &Client,
    checks: impl IntoIterator<Item = &Check>,
    thresholds: &Thresholds,
    suppressed: &BTreeSet<String>,
) -> Result<Vec<Finding>, Error> {
    client.batch_execute(BEGIN).await?;
    let result = run(client, checks, thresholds, suppressed).await;
    // After a lost connection there is nothing to end.
    let ended = client.batch_execute("COMMIT").await;
    let mut findings = result?;
    ended?;
    sort(&mut findings);
    Ok(findings)
}

async fn run(
    client: &Client,
    checks: impl IntoIterator<Item = &Check>,
    thresholds: &Thresholds,
    suppressed: &BTreeSet<String>,
) -> Result<Vec<Finding>, Error> {
    let facts = rows(client, FACTS_QUERY).await?;
    let facts = Facts::new(facts.into_iter().filter_map(|row| {
        let mut cells = row.into_iter();
        Some((cells.next()??, cells.next()?))
    }));
    client
        .batch_execute(&format!("SET LOCAL statement_timeout = {CHECK_TIMEOUT_MS}"))
        .await?;
    let checks: Vec<&Check> = checks.into_iter().collect();
    let mut findings = Vec::new();
    let mut ready: Vec<(&str, Vec<&Check>)> = Vec::new();
    for &check in &checks {
        if let Some(reason) = facts.reason_to_skip(check, thresholds, checks.len() == 1) {
            findings.push(Finding::skipped(check, &reason));
            continue;
        }
        // Those that read nothing in common fail apart.
        let first = collections_of([check]).first().map(|first| first.name);
        match ready.iter_mut().find(|(name, _)| Some(*name) == first) {
            Some((_, together)) => together.push(check),
            None => ready.push((first.unwrap_or_default(), vec![check])),
        }
    }
    let limit = suppressed.len();
    for (_, together) in ready {
        let query = composed(&together, &facts, thresholds, limit);
        let mut outcomes = vec![(together.clone(), attempt(client, &query).await?)];
        if together.len() > 1 && outcomes[0].1.is_err() {
            outcomes.clear();
            for check in together {
                let query = composed(&[check], &facts, thresholds, limit);
                outcomes.push((vec![check], attempt(client, &query).await?));
            }
        }
        for (together, outcome) in outcomes {
            match outcome {
                Ok(rows) => findings.extend(assembled(&together, rows, suppressed)),
                Err(failure) => {
                    findings.extend(together.iter().map(|check| {
                        Finding::failed(check, failure.code().code(), failure.message())
                    }))
                }
            }
        }
    }
    findings.sort_by_key(|finding| checks.iter().position(|check| check.name == finding.check));
    Ok(findings)
}

type Cells = Vec<Option<String>>;

/// The rows, or why the server refused; a lost connection is an error.
async fn attempt(client: &Client, query: &str) -> Result<Result<Vec<Cells>, DbError>, Error> {
    let query = format!("SAVEPOINT pitcrew_check; {query}; RELEASE pitcrew_check");
    match rows(client, &query).await {
        Ok(rows) => Ok(Ok(rows)),
        Err(error) => {
            let Some(failure) = error.as_db_error().cloned() else {
                return Err(error);
            };
            client.batch_execute("ROLLBACK TO pitcrew_check").await?;
            Ok(Err(failure))
        }
    }
}

/// The findings of checks whose rows came in one answer, each row with its check's place before it.
fn assembled(checks: &[&Check], rows: Vec<Cells>, suppressed: &BTreeSet<String>) -> Vec<Finding> {
    let mut raws: Vec<Vec<Raw>> = checks.iter().map(|_| Vec::new()).collect();
    for mut cells in rows {
        let place = cells
            .remove(0)
            .and_then(|place| place.parse::<usize>().ok());
        if let Some(own) = place.and_then(|place| raws.get_mut(place)) {
            own.push(raw(cells));
        }
    }
    let both = checks.iter().zip(raws);
    both.flat_map(|(check, raws)| assemble(check, raws, suppressed))
        .collect()
}

fn raw(row: Cells) -> Raw {
    let mut cells = row.into_iter();
    let mut raw = Raw::default();
    for cell in &mut raw.cells {
        *cell = cells.next().flatten();
    }
    raw.found = cells
        .next()
        .flatten()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    raw
}

async fn rows(client: &Client, query: &str) -> Result<Vec<Cells>, Error> {
    let mut rows = Vec::new();
    for message in client.simple_query(query).await? {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push(
                (0..row.len())
                    .map(|cell| row.get(cell).map(str::to_owned))
                    .collect(),
            );
        }
    }
    Ok(rows)
}
