//! Facts, the shared collections, a subtransaction a check.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use pg_pitcrew_checks::{
    Check, FACTS_QUERY, Facts, Finding, Raw, Thresholds, assemble, collection_query,
    collections_of, over_registered,
};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::registered::{self, Registered};
use crate::failure::{or_raise, spi};
use crate::names;
use crate::text::plain;
use crate::whatif::guarded::{Caught, guarded};

/// The rows of these checks. What fails is a `skipped` row; cancels and shutdowns go on their way.
pub(super) fn run(
    checks: &[&'static Check],
    thresholds: &Thresholds,
    suppressed: &BTreeSet<String>,
) -> Vec<Finding> {
    // One connection to SPI for all: registered relations end with it.
    Spi::connect(|client| {
        let facts = facts(client);
        let mut findings = Vec::new();
        let mut ready = Vec::new();
        for &check in checks {
            match facts.reason_to_skip(check, thresholds, checks.len() == 1) {
                Some(reason) => findings.push(Finding::skipped(check, &reason)),
                None => ready.push(check),
            }
        }
        let mut failed: BTreeMap<&str, Caught> = BTreeMap::new();
        let mut kept = Vec::new();
        for collection in collections_of(ready.iter().copied()) {
            let query = collection_query(collection, &facts);
            match registered::register(collection.name, &query, quiet) {
                Ok(registered) => kept.push(registered),
                Err(caught) => drop(failed.insert(collection.name, caught)),
            }
        }
        for check in ready {
            let needed = collections_of([check]);
            let missing = needed.iter().find_map(|needed| failed.get(needed.name));
            if let Some(caught) = missing {
                findings.push(Finding::failed(check, &caught.sqlstate, &caught.message));
                continue;
            }
            let query = over_registered(check, &facts, thresholds, suppressed.len());
            let result = guarded(|| {
                quiet();
                raws(client, &query)
            });
            match result {
                Ok(raws) => findings.extend(assemble(check, raws, suppressed)),
                Err(caught) => {
                    findings.push(Finding::failed(check, &caught.sqlstate, &caught.message));
                }
            }
        }
        kept.into_iter().for_each(Registered::end);
        findings
    })
}

fn facts(client: &SpiClient<'_>) -> Facts {
    let table = spi("the server's facts", client.select(FACTS_QUERY, None, &[]));
    Facts::new(table.filter_map(|row| {
        let fact = plain(spi("the server's facts", row.get(1)));
        Some((fact?, plain(spi("the server's facts", row.get(2)))))
    }))
}

fn raws(client: &SpiClient<'_>, query: &str) -> Vec<Raw> {
    // It names the schemas of extensions.
    let query = or_raise(names::c_string(query));
    let table = spi("the check", client.select(query.as_c_str(), None, &[]));
    table
        .map(|row| {
            let mut raw = Raw::default();
            for (place, cell) in raw.cells.iter_mut().enumerate() {
                *cell = plain(spi("the check", row.get(place + 1)));
            }
            raw.found = spi::<Option<i64>>("the check", row.get(8)).unwrap_or(0);
            raw
        })
        .collect()
}

/// Settings of one subtransaction: compiling a plan costs more than these queries, nothing waits for a lock, and no
/// statement of ours shows up as somebody's. Registered relations have no statistics, and where the planner takes them for
/// small it would run through each once a row of another.
fn quiet() {
    let set = |name: &CStr, value: &CStr| {
        // SAFETY: both strings outlive the call; GUC_ACTION_LOCAL ends with the subtransaction.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_LOCAL,
                true,
                0,
                false,
            );
        }
    };
    set(c"jit", c"off");
    set(c"enable_nestloop", c"off");
    set(c"max_parallel_workers_per_gather", c"0");
    set(c"work_mem", c"32MB");
    set(c"lock_timeout", c"100ms");
    set(c"compute_query_id", c"off");
    // Findings are suppressed by names as they are written.
    set(c"quote_all_identifiers", c"off");
}
