//! The checks over a plain connection: for a server that has no extension of ours, a managed one for example.
//!
//! One read-only transaction, a savepoint a check. Every text is the one that the extension runs, with its collections
//! as common table expressions. A role with the rights of `pg_monitor` is enough; what it may not see is `skipped`.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::{Check, FACTS_QUERY, Facts, Finding, Raw, Thresholds, assemble, composed, sort};

/// A check that takes longer is skipped, in milliseconds.
const CHECK_TIMEOUT_MS: u32 = 5_000;

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
    let ended = client.batch_execute("ROLLBACK").await;
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
    let mut findings = Vec::new();
    for check in checks {
        if let Some(reason) = facts.reason_to_skip(check, thresholds) {
            findings.push(Finding::skipped(check, &reason));
            continue;
        }
        let query = composed(check, &facts, thresholds, suppressed.len());
        let query = format!("SAVEPOINT pitcrew_check; {query}; RELEASE pitcrew_check");
        match rows(client, &query).await {
            Ok(rows) => findings.extend(assemble(
                check,
                rows.into_iter().map(raw).collect(),
                suppressed,
            )),
            Err(error) => {
                let Some(failure) = error.as_db_error() else {
                    return Err(error);
                };
                findings.push(Finding::failed(
                    check,
                    failure.code().code(),
                    failure.message(),
                ));
                client.batch_execute("ROLLBACK TO pitcrew_check").await?;
            }
        }
    }
    Ok(findings)
}

fn raw(row: Vec<Option<String>>) -> Raw {
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

async fn rows(client: &Client, query: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
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
