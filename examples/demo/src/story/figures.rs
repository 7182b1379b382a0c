//! The figures of a run, and the assertions on them.

use std::path::Path;

use serde::Serialize;

use crate::Failure;

/// What was measured. A figure that this run could not measure is absent, never zero.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// `full`, or what was left out.
    pub(crate) mode: String,
    /// Hits among look-ups while the cache was warm.
    pub(crate) hit_ratio: Option<f64>,
    /// Server time of the helped statements with the applied indexes / without, cache bypassed.
    pub(crate) measured_time_ratio: Option<f64>,
    /// Even before-rounds / odd before-rounds: what the same thing twice differs by.
    pub(crate) measured_time_ratio_control: Option<f64>,
    /// Calls of each helped statement before, and again after.
    pub(crate) calls_each: Option<u64>,
    /// The planner's costs of exactly the statements and calls of `measured_time_ratio`, each statement once: with all applied
    /// indexes / with none.
    pub(crate) predicted_cost_ratio: Option<f64>,
    /// Hits among the first look-ups of a second instance, whose own level is empty: what Redis alone answers.
    pub(crate) l2_hit_ratio: Option<f64>,
    /// Median time of answers marked as hits / median time of the same route with the index and past the cache: a quotient
    /// for each route, then their geometric mean, each route weighing as often as it was hit. Both sides so have the same
    /// routes in the same shares, whatever share of each route the cache answers.
    pub(crate) cached_hit_p50_ratio: Option<f64>,
    /// The same of the 99th percentiles.
    pub(crate) cached_hit_p99_ratio: Option<f64>,
    /// Requests a second of the visitor mix: with index and cache / before.
    pub(crate) rps_ratio: Option<f64>,
    /// Time that all requests of an act waited for a connection: with index and cache / before. The acts take the same time,
    /// and `rps_ratio` times as many requests come in the second.
    pub(crate) pool_wait_ratio: Option<f64>,
    /// The same for one request.
    pub(crate) pool_wait_each_ratio: Option<f64>,
    pub(crate) rss_released_mb: Option<f64>,
    pub(crate) p50_before_ms: Option<f64>,
    pub(crate) p99_before_ms: Option<f64>,
    pub(crate) p50_indexed_ms: Option<f64>,
    pub(crate) p99_indexed_ms: Option<f64>,
    pub(crate) p50_cached_ms: Option<f64>,
    pub(crate) p99_cached_ms: Option<f64>,
    pub(crate) suggestions: Option<usize>,
    pub(crate) jobs_done: Option<usize>,
    pub(crate) rss_mb: Option<f64>,
    pub(crate) demo_seconds: f64,
}

/// One thing that was asserted.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    what: String,
    holds: bool,
    seen: String,
}

/// Figures and checks of a run.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    #[serde(flatten)]
    pub(crate) figures: Figures,
    checks: Vec<Check>,
}

impl Verdict {
    pub(crate) fn check(&mut self, what: impl Into<String>, holds: bool, seen: impl Into<String>) {
        self.checks.push(Check {
            what: what.into(),
            holds,
            seen: seen.into(),
        });
    }

    /// A figure against its bar; one that was not measured does not hold.
    pub(crate) fn figure(
        &mut self,
        what: &str,
        figure: Option<f64>,
        is_right: impl Fn(f64) -> bool,
    ) {
        let seen = figure.map_or_else(
            || "not measured".to_owned(),
            |figure| format!("{figure:.4}"),
        );
        self.check(what, figure.is_some_and(is_right), seen);
    }

    /// Writes both as JSON, where a file is named.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn write(&self, path: Option<&Path>) -> Result<(), Failure> {
        let Some(path) = path else { return Ok(()) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text + "\n")
            .map_err(|error| format!("{} could not be written: {error}", path.display()))?;
        println!("The figures are in {}.", path.display());
        Ok(())
    }

    /// Prints every check; tells whether all hold.
    pub fn print(&self) -> bool {
        println!();
        for check in &self.checks {
            let word = if check.holds { "ok    " } else { "FAILED" };
            println!("{word} {} ({})", check.what, check.seen);
        }
        let failed = self.checks.iter().filter(|check| !check.holds).count();
        println!(
            "{} checks hold, {failed} do not.",
            self.checks.len() - failed
        );
        failed == 0
    }
}
