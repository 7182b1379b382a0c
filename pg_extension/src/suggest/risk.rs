//! How far a suggestion can be relied on, and which statements it may make slower.

use pg_pitcrew_advisor::{Chosen, Plan};

use super::model::Model;
use crate::compat;
use crate::names;
use crate::whatif::guarded::guarded;
use crate::whatif::predict::{self, Predicted};
use crate::whatif::table::hides_rows;
use crate::whatif::{Confidence, Trusted, of_query};
use crate::workload::analysis;

/// A plan that is cheaper by less than this share may well be slower: plans with fewer pages but more jumps between them
/// are off by about that (`time_ratio` of `./pitcrew bench advisor` against the ratio of costs).
const CLOSE: f64 = 0.2;
/// The planner tells costs apart no finer than this (`STD_FUZZ_FACTOR`).
const FUZZ: f64 = 0.01;

/// What speaks against a suggestion.
pub(super) struct Doubts {
    pub(super) trusted: Trusted,
    /// Statements, each with the reason.
    pub(super) at_risk: Vec<(usize, String)>,
}

/// Weighs one suggestion, `ddl` being its definition; `plans` are the statements' with all suggestions.
pub(super) fn doubts(
    ddl: &str,
    chosen: &Chosen,
    plans: &[Option<Plan>],
    model: &Model<'_>,
) -> Doubts {
    let mut doubts = Doubts {
        trusted: Trusted::default(),
        at_risk: Vec::new(),
    };
    let index = &model.indexes[chosen.candidate];
    if let Some(predicted) = &index.predicted {
        doubts.of_index(chosen, predicted, model);
    } else if compat::may_read(index.candidate.table.into()) {
        let read = names::c_string(ddl).map_err(|failure| failure.message);
        match read.and_then(|ddl| predict::from_statistics(&ddl, model.context)) {
            Ok(predicted) => doubts.of_index(chosen, &predicted, model),
            Err(reason) => doubts.trusted.at_most(Confidence::Low, reason),
        }
    } else {
        doubts.trusted.at_most(
            Confidence::Low,
            "this role may not read the table: the planner keeps some of its statistics from it"
                .to_owned(),
        );
    }
    if hides_rows(index.candidate.table.into()) {
        doubts.trusted.at_most(
            Confidence::Low,
            "row security hides rows of the table from this role".to_owned(),
        );
    }
    doubts.trusted.merge(index.trusted.clone());
    if index.is_rough {
        let because = if index.candidate.keys.len() > 1 {
            "its size is that of columns whose values have nothing to do with each other"
        } else {
            "its size is that of values that are evenly frequent"
        };
        doubts
            .trusted
            .at_most(Confidence::Medium, because.to_owned());
    }
    for (statement, plan) in plans.iter().enumerate() {
        let Some(plan) = plan
            .as_ref()
            .filter(|plan| plan.used.contains(&chosen.candidate))
        else {
            continue;
        };
        let before = model.planned[statement].1.cost;
        let gain = 1.0 - plan.cost / before.max(f64::MIN_POSITIVE);
        if gain < -FUZZ {
            let reason = format!("its plan gets {:.0} % dearer", -100.0 * gain);
            doubts.at_risk.push((statement, reason));
        } else if gain < CLOSE {
            let reason = format!(
                "its plan changes for a gain of {:.0} %, which is within what costs are off by",
                100.0 * gain.max(0.0)
            );
            doubts.at_risk.push((statement, reason));
        } else if saves_pages_alone(statement, &plan.used, model) {
            let reason =
                "its plan saves pages and hardly rows: where all is in memory it may be slower";
            doubts.at_risk.push((statement, reason.to_owned()));
        }
    }
    doubts
}

fn saves_pages_alone(statement: usize, used: &[usize], model: &Model<'_>) -> bool {
    let before = model.in_memory(statement, &[]);
    let after = model.in_memory(statement, used);
    before
        .zip(after)
        .is_some_and(|(before, after)| after > before * (1.0 - CLOSE))
}

impl Doubts {
    fn of_index(&mut self, chosen: &Chosen, predicted: &Predicted, model: &Model<'_>) {
        self.trusted.merge(predicted.trusted.clone());
        for helped in &chosen.helped {
            pgrx::check_for_interrupts!();
            let source = &model.planned[helped.statement].1.source;
            let found = guarded(|| {
                analysis::enter_for(model.context, source);
                let analysed = analysis::analyse(source, model.context).ok()?;
                Some(of_query(&analysed, &[predicted]))
            });
            if let Ok(Some(trusted)) = found {
                self.trusted.merge(trusted);
            }
        }
    }
}
