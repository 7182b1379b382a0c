//! The statements of the workload, each analysed and planned once as things are.

use std::time::Instant;

use crate::whatif::guarded::{Caught, guarded};
use crate::whatif::hypothetical::Supposed;
use crate::whatif::plan;
use crate::workload::analysis::{self, Context};
use crate::workload::skip::Skip;
use crate::workload::source::Source;
use crate::workload::statements::Statement;
use crate::workload::usage::{self, Use};

/// Why nothing more is planned, once `pitcrew.suggest_timeout` is over.
pub(super) const OUT_OF_TIME: &str = "pitcrew.suggest_timeout was over";

/// A statement of the workload, looked at once.
pub(super) struct Looked {
    pub(super) statement: Statement,
    pub(super) result: Result<Planned, Skip>,
}

/// A statement that can be planned.
pub(super) struct Planned {
    pub(super) source: Source,
    /// Without new indexes.
    pub(super) cost: f64,
    pub(super) uses: Vec<Use>,
}

/// Analyses and plans each statement without new indexes.
pub(super) fn look(
    statements: Vec<Statement>,
    context: &Context,
    deadline: Option<Instant>,
) -> Vec<Looked> {
    statements
        .into_iter()
        .map(|statement| {
            pgrx::check_for_interrupts!();
            let result = look_at(&statement, context, deadline);
            Looked { statement, result }
        })
        .collect()
}

fn look_at(
    statement: &Statement,
    context: &Context,
    deadline: Option<Instant>,
) -> Result<Planned, Skip> {
    let because = |reason: &str| Skip::Because(reason.to_owned());
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(because(OUT_OF_TIME));
    }
    let mut found = Err(because(statement.textless));
    for source in statement.sources() {
        found = look_at_source(source, context);
        if !matches!(found, Err(Skip::Because(_))) {
            break;
        }
    }
    found
}

fn look_at_source(source: Source, context: &Context) -> Result<Planned, Skip> {
    // A message may quote what somebody wrote into his statement.
    let said = |caught: Caught| {
        Skip::Because(match source.ran {
            None => caught.message,
            Some(_) => format!(
                "its captured text cannot be planned (SQLSTATE {})",
                caught.sqlstate
            ),
        })
    };
    let read = guarded(|| {
        analysis::enter_for(context, &source);
        let analysed = analysis::analyse(&source, context)?;
        Ok::<_, Skip>((usage::uses(analysed.query), analysed.relations))
    });
    let (uses, relations) = read.map_err(said)??;
    context
        .trust()
        .check_relations(&relations)
        .map_err(Skip::Because)?;
    let cost = plan::plan(&source, context, &Supposed::default())
        .map_err(said)??
        .cost;
    Ok(Planned { source, cost, uses })
}
