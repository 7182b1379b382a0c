//! What the caller asks for, checked.

use std::time::{Duration, Instant};

use pg_pitcrew_advisor::Limits;
use pgrx::prelude::*;

use crate::failure::Failure;
use crate::workload::statements::{self, Statement};
use crate::{guc, names};

/// More calls than anybody's statement has; sums of costs stay numbers.
const MAX_WEIGHT: f64 = 1e15;

/// The arguments of `pitcrew.suggest_indexes`; NULL stands for the default.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) budget_mb: Option<i32>,
    pub(super) max_indexes: Option<i32>,
    pub(super) min_gain_percent: Option<f64>,
    pub(super) queries: Option<Vec<Option<String>>>,
    pub(super) weights: Option<Vec<Option<f64>>>,
    pub(super) leave_alone: Option<Vec<Option<pg_sys::Oid>>>,
    pub(super) max_regression_percent: Option<f64>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) limits: Limits,
    pub(super) statements: Vec<Statement>,
    /// How long they ran; `None` where that is not known, or they are given.
    pub(super) seconds: Option<f64>,
    /// Tables that get no index.
    pub(super) leave_alone: Vec<pg_sys::Oid>,
    pub(super) deadline: Option<Instant>,
}

impl Arguments {
    /// # Errors
    /// An argument outside its range, weights that do not fit the queries, a relation that is no table, or no workload to read.
    pub(super) fn check(self) -> Result<Task, Failure> {
        let limits = limits(&self)?;
        let leave_alone = self
            .leave_alone
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .map(table)
            .collect::<Result<_, _>>()?;
        let (statements, seconds) = match (self.queries, self.weights) {
            (Some(texts), weights) => (statements::given(weighted(texts, weights)?), None),
            (None, None) => (statements::recorded()?, statements::recorded_seconds()),
            (None, Some(_)) => {
                return Err(Failure::argument("weights are given without queries")
                    .hint("The recorded statements weigh as much as they were called."));
            }
        };
        let timeout = guc::SUGGEST_TIMEOUT_MS.get();
        Ok(Task {
            limits,
            statements,
            seconds,
            leave_alone,
            deadline: (timeout > 0)
                .then(|| Instant::now() + Duration::from_millis(timeout.unsigned_abs().into())),
        })
    }
}

fn limits(arguments: &Arguments) -> Result<Limits, Failure> {
    let at_least_zero =
        |name: &str, value: Option<i32>, default: i32| match value.unwrap_or(default) {
            value if value < 0 => Err(Failure::argument(format!(
                "{name} must not be negative, got {value}"
            ))),
            value => Ok(u64::from(value.unsigned_abs())),
        };
    let gain = arguments.min_gain_percent.unwrap_or(5.0);
    if !(0.0..=100.0).contains(&gain) {
        return Err(Failure::argument(format!(
            "min_gain_percent must be between 0 and 100, got {gain}"
        )));
    }
    let regression = arguments.max_regression_percent.unwrap_or(10.0);
    if !(regression >= 0.0 && regression.is_finite()) {
        return Err(Failure::argument(format!(
            "max_regression_percent must be a number from 0 up, got {regression}"
        )));
    }
    Ok(Limits {
        budget_bytes: at_least_zero("budget_mb", arguments.budget_mb, 1024)? * 1024 * 1024,
        max_indexes: at_least_zero("max_indexes", arguments.max_indexes, 10)? as usize,
        min_gain_percent: gain,
        max_regression_percent: regression,
    })
}

/// Texts with their weights, which are 1 where none are given.
fn weighted(
    texts: Vec<Option<String>>,
    weights: Option<Vec<Option<f64>>>,
) -> Result<Vec<(Option<String>, f64)>, Failure> {
    let most = usize::try_from(guc::MAX_STATEMENTS.get()).unwrap_or(0);
    if texts.len() > most {
        return Err(Failure::argument(format!(
            "{} queries are given, and {most} are looked at",
            texts.len()
        ))
        .hint("Raise pitcrew.max_statements (10000 at most), or give the ones with most load."));
    }
    let Some(weights) = weights else {
        return Ok(texts.into_iter().map(|text| (text, 1.0)).collect());
    };
    if weights.len() != texts.len() {
        return Err(Failure::argument(format!(
            "{} weights for {} queries",
            weights.len(),
            texts.len()
        ))
        .hint("Give one weight a query, or none at all."));
    }
    let checked = weights.into_iter().map(|weight| match weight {
        Some(weight) if (0.0..=MAX_WEIGHT).contains(&weight) => Ok(weight),
        Some(weight) => Err(Failure::argument(format!(
            "a weight must be a number from 0 to {MAX_WEIGHT:e}, got {weight:e}"
        ))),
        None => Err(Failure::argument("a weight must not be NULL")),
    });
    let checked: Vec<f64> = checked.collect::<Result<_, _>>()?;
    Ok(texts.into_iter().zip(checked).collect())
}

fn table(oid: pg_sys::Oid) -> Result<pg_sys::Oid, Failure> {
    // SAFETY: a catalogue look-up that answers 0 for what does not exist.
    let kind = unsafe { pg_sys::get_rel_relkind(oid) as u8 };
    if matches!(kind, b'r' | b'p' | b'm') {
        return Ok(oid);
    }
    let name = names::qualified(oid).unwrap_or_else(|| oid.to_u32().to_string());
    Err(Failure::argument(format!("{name} is not a table"))
        .hint("leave_alone takes tables and materialised views."))
}
