//! What the database itself spent on each statement, as `/database/analysis` shows it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::admin::Operator;
use crate::Failure;

/// Calls and execution time by query id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statements(BTreeMap<i64, (u64, f64)>);

impl Statements {
    pub(crate) async fn now(operator: &Operator) -> Result<Self, Failure> {
        let analysis = operator.get("/database/analysis").await?;
        let rows = analysis["slow_queries"]
            .as_array()
            .ok_or("slow_queries is missing")?;
        let read = |row: &Value| {
            Some((
                row["queryid"].as_i64()?,
                (row["calls"].as_u64()?, row["total_ms"].as_f64()?),
            ))
        };
        Ok(Self(rows.iter().filter_map(read).collect()))
    }

    /// What was spent since `before` on the given statements: milliseconds, and the fewest calls that one of them had.
    pub(crate) fn since(&self, before: &Self, statements: &[i64]) -> (f64, u64) {
        let mut spent = 0.0;
        let mut fewest = u64::MAX;
        for id in statements {
            let (calls, ms) = self.0.get(id).copied().unwrap_or_default();
            let (calls_before, ms_before) = before.0.get(id).copied().unwrap_or_default();
            spent += ms - ms_before;
            fewest = fewest.min(calls.saturating_sub(calls_before));
        }
        (spent, fewest)
    }
}
