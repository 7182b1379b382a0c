//! Beside rust-pg-extras, over a plain connection each: what both look at.

use std::collections::BTreeSet;
use std::time::Instant;

use pg_pitcrew_checks::{Check, Thresholds, find, plain};
use pitcrew_stack::bench::{Figure, Reading, rounds};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Result, checkout};
use tokio_postgres::NoTls;

use super::super::peers::Peers;

/// As many of ours as the program `care-peers` asks queries of rust-pg-extras.
const CHECKS: [&str; 13] = [
    "bloated_table",
    "blocked_session",
    "cache_hit_database",
    "query_calls",
    "duplicate_index",
    "cache_hit_index",
    "long_running_query",
    "null_heavy_index",
    "query_total_time",
    "sequential_scans",
    "cache_hit_table",
    "unused_index",
    "autovacuum_due",
];
const PEER: &str = "pg-extras";

pub(super) fn run(url: &str, signals: &Signals) -> Result<Vec<Figure>> {
    let peers = Peers::build(&checkout(), signals, "care-peers", None)?;
    let fault = |error: tokio_postgres::Error| Error::Sql {
        statement: "the checks that both have".into(),
        detail: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Extension(error.to_string()))?;
    let client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(fault)?;
        tokio::spawn(connection);
        Ok::<_, Error>(client)
    })?;
    let checks: Option<Vec<&Check>> = CHECKS.iter().map(|name| find(name)).collect();
    let checks = checks.ok_or_else(|| Error::Extension("a check has another name".into()))?;
    let (thresholds, suppressed) = (Thresholds::default(), BTreeSet::new());
    let ours = || {
        let begin = Instant::now();
        let checks = checks.iter().copied();
        let report = plain::report(&client, checks, &thresholds, &suppressed);
        let found = runtime.block_on(report).map_err(fault)?;
        // A check that failed was fast.
        match found
            .into_iter()
            .find(|row| row.detail.contains("SQLSTATE"))
        {
            Some(failed) => Err(Error::Extension(failed.detail)),
            None => Ok(begin.elapsed().as_secs_f64() * 1e3),
        }
    };
    ours()?;
    let mut measured: [Reading<'_, Error>; 3] = [
        Box::new(ours),
        // The control: the same thing twice.
        Box::new(ours),
        Box::new(|| peers.number(&[url])),
    ];
    let read = rounds(8, &mut measured)?;
    drop(measured);
    Ok(vec![
        Figure::ratio("checks_vs_pg_extras", &read[0], &read[1], &read[2])
            .against(PEER, peers.version(PEER)),
    ])
}
